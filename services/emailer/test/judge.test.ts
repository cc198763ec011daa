import { describe, expect, it } from "@jest/globals";
import type { Fault } from "../src/relay/classify.ts";
import { Judge, type Judgement } from "../src/relay/judge.ts";
import type { Transfer } from "../src/relay/transfer.ts";
import { mailTo } from "./support.ts";

const RELAY = "relay.example";
const faultAt = (command: Fault["command"], members: Partial<Fault>): Fault => ({
  code: "ECONNECTION",
  command,
  begun: command !== "CONN" && command !== "AUTH",
  bodyRead: false,
  ...members,
});
const refusal = (response: string, command: Fault["command"] = "RCPT TO", more = {}) =>
  faultAt(command, {
    code: "EENVELOPE",
    response,
    responseCode: Number(response.slice(0, 3)),
    ...more,
  });
const LOST = faultAt("MAIL FROM", {});
const SILENT_AT_DOT = faultAt("DATA", { code: "ETIMEDOUT", bodyRead: true });
const LOST_AT_DOT = faultAt("DATA", { bodyRead: true });
const NOT_REACHED = faultAt("CONN", {});
const NO_RELAY = refusal("554 5.7.1 Relay access denied");
const UNKNOWN_USER = refusal("550 5.1.1 User unknown");
const GREYLISTED = refusal("451 4.7.1 Greylisted");

describe("Judge", () => {
  it.each([
    [UNKNOWN_USER, "failed"],
    [GREYLISTED, "deferred"],
    [refusal("550 5.1.8 Bad sender", "MAIL FROM"), "sender-refused"],
  ])("gives a mail the verdict of its refusal, and the relay works (%#)", (fault, verdict) => {
    const { judge } = setUp();

    expect(judge(fault)).toEqual({ verdict, works: "yes" });
  });

  it.each([
    ["it was not reached", NOT_REACHED],
    ["it refuses us", NO_RELAY],
    ["it is silent at MAIL", faultAt("MAIL FROM", { code: "ETIMEDOUT" })],
  ])("finds that the relay does not work where %s, and keeps the mail", (_, fault) => {
    const { judge } = setUp();

    expect(judge(fault)).toEqual({ works: "no" });
  });

  it("finds the relay in doubt when others were taken meanwhile, and the third time the mail at fault", () => {
    const { judge, taken, transfer } = setUp();
    const mail = transfer();

    const judgements = [1, 2, 3].map(() => {
      taken(1);
      return judge(NO_RELAY, { transfer: mail, takenBefore: 0 });
    });

    expect(judgements).toEqual([
      { works: "unknown" },
      { works: "unknown" },
      { verdict: "deferred", works: "unknown" },
    ]);
  });

  it("never finds a mail at fault that the relay refuses while it takes no other", () => {
    const { judge, transfer } = setUp();
    const mail = transfer();

    const judgements = Array.from({ length: 10 }, () => judge(NO_RELAY, { transfer: mail }));

    expect(judgements).toEqual(Array(10).fill({ works: "no" }));
  });

  it("finds that the relay does not work after the third lost connection in a row of different mails", () => {
    const { judge } = setUp();

    expect([judge(LOST), judge(LOST), judge(LOST)].map(worksOf)).toEqual([
      "unknown",
      "unknown",
      "no",
    ]);
  });

  it.each([
    ["a mail was taken", ({ taken }: SetUp) => taken(1)],
    ["a mail was refused", ({ judge }: SetUp) => judge(UNKNOWN_USER)],
    ["the circuit changed", ({ forget }: SetUp) => forget()],
  ])("counts lost connections again from the beginning after %s", (_, happens) => {
    const all = setUp();
    all.judge(LOST);
    all.judge(LOST);

    happens(all);

    expect([all.judge(LOST), all.judge(LOST), all.judge(LOST)].map(worksOf)).toEqual([
      "unknown",
      "unknown",
      "no",
    ]);
  });

  it("counts a mail that breaks one connection after the other once, and defers it the third time", () => {
    const { judge, transfer } = setUp();
    const mail = transfer();

    const judgements = [1, 2, 3].map(() => judge(LOST, { transfer: mail }));

    expect(judgements).toEqual([
      { works: "unknown" },
      { works: "unknown" },
      { verdict: "deferred", works: "unknown" },
    ]);
  });

  it.each([
    ["a lost connection", LOST, {}],
    ["a lost connection after the dot", LOST_AT_DOT, { verdict: "ambiguous" }],
  ])("believes the trial: %s shows that the relay does not work", (_, fault, more) => {
    const { judge } = setUp();

    expect(judge(fault, { isTrial: true })).toEqual({ ...more, works: "no" });
  });

  it("leaves a mail in doubt after the dot, and takes silence there for the relay's trouble", () => {
    const { judge } = setUp();

    expect(judge(LOST_AT_DOT)).toEqual({ verdict: "ambiguous", works: "unknown" });
    expect(judge(SILENT_AT_DOT)).toEqual({ verdict: "ambiguous", works: "no" });
  });

  it("does not believe refusals for good once twenty recipients were refused, until one is taken", () => {
    const { judge, taken, transfer } = setUp();
    const refuse = (number: number) =>
      judge(UNKNOWN_USER, { transfer: transfer(`user${number}@example.com`) });
    const verdicts = Array.from({ length: 21 }, (_, number) => refuse(number));

    expect(verdicts.filter(({ verdict }) => verdict === "failed")).toHaveLength(19);
    expect(verdicts.at(-1)).toEqual({ verdict: "deferred", works: "no", refusesAll: true });
    expect(judge(GREYLISTED)).toEqual({ verdict: "deferred", works: "unknown" });
    taken(1);

    expect(refuse(99)).toEqual({ verdict: "failed", works: "yes" });
  });
});

type SetUp = ReturnType<typeof setUp>;

function setUp() {
  const judge = new Judge(RELAY);
  const transfer = (to = "ada@example.com"): Transfer => ({
    mail: mailTo(to),
    signal: new AbortController().signal,
    staleConnections: 0,
    breaks: 0,
    met: new Map(),
  });
  const taken = (count: number) => {
    for (let mail = 0; mail < count; mail += 1) judge.noteTaken();
  };
  return {
    taken,
    transfer,
    forget: () => judge.forgetStrikes(),
    judge: (
      fault: Fault,
      more: { transfer?: Transfer; isTrial?: boolean; takenBefore?: number } = {},
    ) =>
      judge.judge({
        fault,
        transfer: transfer(),
        isTrial: false,
        takenBefore: judge.taken,
        ...more,
      }),
  };
}

function worksOf({ works }: Judgement): string {
  return works;
}
