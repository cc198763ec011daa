import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { ERROR_CODES } from "nodemailer/lib/errors";
import { seeded } from "@wellsent/testing";
import {
  classify,
  explain,
  explainBriefly,
  explainVerdict,
  isAuthRefused,
  isOfOneMail,
  isThrottled,
  type Fault,
} from "../src/relay/classify.ts";
import { RULES, type Phase } from "../src/relay/reply-rules.ts";
import { REAL_REPLIES } from "./replies.ts";

const PAGE = join(import.meta.dirname, "../../../docs/relays.md");
const COMMANDS: Record<Phase, string> = {
  MAIL: "MAIL FROM",
  RCPT: "RCPT TO",
  DATA: "DATA",
  dot: "DATA",
};

/** A reply of a relay, as nodemailer reports it. */
function faultAt(at: string, response: string): Fault {
  const number = Number(/^\d+/.exec(response)?.[0] ?? NaN) || undefined;
  const replied = { response, ...(number !== undefined && { responseCode: number }) };
  if (at === "before MAIL") {
    return { code: "EPROTOCOL", command: "EHLO", ...replied, begun: false, bodyRead: false };
  }
  const code = at === "dot" ? "EMESSAGE" : "EENVELOPE";
  return { code, command: COMMANDS[at as Phase], ...replied, begun: true, bodyRead: at === "dot" };
}

/** What is no reply: a connection that ended, or a relay that said nothing. */
function silentFault(at: string, code: string): Fault {
  return { code, command: "CONN", begun: at !== "before MAIL", bodyRead: at === "dot" };
}

const SPECIAL: Record<string, (at: string) => Fault> = {
  "(lost)": (at) => silentFault(at, "ECONNECTION"),
  "(silence)": (at) => silentFault(at, "ETIMEDOUT"),
  "(nodemailer refuses the message)": (at) => ({
    ...silentFault(at, "EMESSAGE"),
    command: "API",
  }),
};

interface Case {
  rule: string;
  at: string;
  example: string;
  verdict: string;
  fault: Fault;
}

/** Every example of every row of the page's two tables of rules, at every phase of the row. */
function casesOfPage(): Case[] {
  const rows = readFileSync(PAGE, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const tables = rows.filter((cells) => /^`[a-z-]+`$/.test(cells.at(-2) ?? "") && cells.length > 5);
  return tables.flatMap((cells) => {
    const [, rule = "", phases = ""] = cells;
    const examples = cells.at(-3) ?? "";
    const verdict = (cells.at(-2) ?? "").replaceAll("`", "");
    const replies = [...examples.matchAll(/`([^`]+)`/g)].map(([, reply = ""]) => reply);
    return phases.split(", ").flatMap((at) => [
      ...replies.map((example) => {
        const fault = faultAt(at, example.replaceAll(" ⏎ ", "\n"));
        return { rule, at, example, verdict, fault };
      }),
      ...Object.entries(SPECIAL)
        .filter(([name]) => examples.includes(name))
        .map(([example, faultFor]) => ({ rule, at, example, verdict, fault: faultFor(at) })),
    ]);
  });
}

const CASES = casesOfPage();

describe("docs/relays.md", () => {
  it.each(CASES)("$rule: $example at $at is $verdict", ({ rule, verdict, fault }) => {
    const { name, verdict: given } = explainVerdict(fault);

    expect([name, given]).toEqual([rule, verdict]);
  });

  it("has a row for each rule, in the rules' order", () => {
    const names = [...new Set(CASES.map(({ rule }) => rule))];
    const others = ["unsendable", "before MAIL", "silence", "lost", "unreadable", "in doubt"];

    expect(names).toEqual([...others, ...RULES.map(({ name }) => name)]);
  });

  it("has each rule at every phase where it can apply", () => {
    for (const { name, phases = Object.keys(COMMANDS) } of RULES) {
      const tried = new Set(CASES.filter(({ rule }) => rule === name).map(({ at }) => at));
      // "at MAIL" stands before it and leaves it the other phases.
      const possible = phases.filter((at) => at !== "MAIL" || tried.has("MAIL"));

      expect([name, [...tried].sort()]).toEqual([name, [...possible].sort()]);
    }
  });
});

describe("classify, of replies that relays gave", () => {
  it("knows at least 80 of them", () => {
    expect(REAL_REPLIES.length).toBeGreaterThanOrEqual(80);
  });

  it.each(REAL_REPLIES)("at %s, %j is %s", (phase, reply, verdict) => {
    expect(classify(faultAt(phase, reply))).toBe(verdict);
  });

  it.each(REAL_REPLIES)("at %s, %j is %s on several lines as well", (phase, reply, verdict) => {
    const [, code = "", text = ""] =
      /^(\d{3})[ -]([^]*)$/.exec(reply.replace(/\n\d{3}[ -]/g, " ")) ?? [];
    const words = text.split(" ");
    const half = Math.ceil(words.length / 2);
    const wrapped = `${code}-${words.slice(0, half).join(" ")}\r\n${code} ${words.slice(half).join(" ")}`;

    expect(classify(faultAt(phase, wrapped))).toBe(verdict);
  });
});

const OPENING = ["CONN", "EHLO", "HELO", "STARTTLS", "AUTH PLAIN", "AUTH LOGIN", "RSET"];
const CODED = [200, 354, 421, 432, 450, 451, 452, 454, 500, 503, 530, 534, 535, 538, 550, 552, 554];
const STATUSES = [
  "",
  "4.2.1 ",
  "4.3.2 ",
  "4.7.0 ",
  "4.7.1 ",
  "5.1.1 ",
  "5.1.8 ",
  "5.7.1 ",
  "5.7.8 ",
];
const REPLIES = [
  undefined,
  "no code",
  "5.1.1 no code",
  ...CODED.flatMap((code) => STATUSES.map((status) => `${code} ${status}words`)),
];
const everyFault = [...Object.keys(ERROR_CODES), "UNKNOWN", "ECONNRESET"].flatMap((code) =>
  [...OPENING, "MAIL FROM", "RCPT TO", "DATA", "API", ""].flatMap((command) =>
    REPLIES.flatMap((response) =>
      [
        [true, true],
        [true, false],
        [false, false],
      ].map(([begun = false, bodyRead = false]): Fault => {
        const number = Number(/^\d+ /.exec(response ?? "")?.[0] ?? NaN) || undefined;
        return {
          code,
          command,
          ...(response !== undefined && { response }),
          ...(number !== undefined && { responseCode: number }),
          begun,
          bodyRead,
        };
      }),
    ),
  ),
);
const verdictsOf = (condition: (fault: Fault) => boolean) => [
  ...new Set(everyFault.filter(condition).map(classify)),
];

describe("classify", () => {
  it("has one verdict for every fault", () => {
    expect(everyFault.length).toBeGreaterThan(50_000);
    expect(new Set(verdictsOf(() => true))).toEqual(
      new Set(["deferred", "failed", "sender-refused", "relay", "connection", "ambiguous"]),
    );
  });

  it("never fails or parks anybody's mail for a reply before MAIL", () => {
    const isBefore = ({ command, begun, response }: Fault) =>
      OPENING.includes(command) && !begun && response !== undefined;

    expect(verdictsOf(isBefore)).toEqual(["relay"]);
  });

  it("concludes nothing final from a reply without a code", () => {
    const hasNone = ({ response }: Fault) => response?.includes("no code") ?? false;

    expect(new Set(verdictsOf(hasNone))).toEqual(new Set(["relay", "connection", "ambiguous"]));
  });

  it.each([
    "",
    "5",
    "51",
    "5111",
    "55x no",
    "550_no",
    "550\tno",
    "999 no",
    "150 no",
    "250",
    "354 go",
  ])("concludes nothing from %j within a transaction", (reply) => {
    expect(classify(faultAt("RCPT", reply))).toBe("connection");
    expect(classify(faultAt("dot", reply))).toBe("ambiguous");
  });

  it("concludes nothing from a line that random bytes made of a refusal, unless three digits are left", () => {
    const { pick, whole } = seeded(5_321);
    for (let round = 0; round < 2_000; round += 1) {
      const digits = String(whole(0, 10 ** whole(1, 9)));
      const reply = `${digits}${pick([" ", "", ":", "."])}${pick(["", "no", "5.1.1 no"])}`;
      const isReadable = /^[45]\d\d( |$)/.test(reply);

      expect([reply, classify(faultAt("RCPT", reply)) === "connection"]).toEqual([
        reply,
        !isReadable || /^(421|50[023])/.test(reply),
      ]);
    }
  });

  it("is in doubt about a connection that was lost after the final dot", () => {
    const isLost = ({ code, bodyRead, response, command }: Fault) =>
      bodyRead &&
      response === undefined &&
      command === "CONN" &&
      /^E(CONN|TIMED|SOCKET)/.test(code);

    expect(verdictsOf(isLost)).toEqual(["ambiguous"]);
  });

  it("never fails a mail for a 4xx", () => {
    const isForNow = ({ response }: Fault) => response?.startsWith("4") ?? false;

    expect(verdictsOf(isForNow)).not.toContain("failed");
    expect(verdictsOf(isForNow)).not.toContain("sender-refused");
  });
});

describe("isThrottled", () => {
  it.each([
    ["421 4.3.2 closing", "DATA", true],
    ["421 too many", "RCPT", true],
    ["451 4.7.0 slow down", "MAIL", true],
    ["550 5.4.5 Daily user sending quota exceeded", "dot", true],
    ["450-4.7.1 slow\n450 4.7.1 down", "dot", false],
    ["451 4.7.1 greylisted", "RCPT", false],
    ["451 4.7.1 greylisted", "dot", false],
    ["451 4.3.0 later", "MAIL", false],
    ["550 5.7.1 no", "MAIL", false],
    ["421 4.7.0 too many connections", "before MAIL", true],
    ["454 4.7.0 later", "before MAIL", true],
    ["554 5.7.1 no", "before MAIL", false],
  ])("of %j at %s is %s", (response, at, throttled) => {
    expect(isThrottled(faultAt(at, response))).toBe(throttled);
  });
});

describe("isAuthRefused", () => {
  it.each<[string, Partial<Fault>, boolean]>([
    ["a wrong password", { code: "EAUTH", command: "AUTH PLAIN", responseCode: 535 }, true],
    ["no password", { code: "EAUTH", command: "API" }, true],
    [
      "authentication required",
      { code: "EENVELOPE", command: "MAIL FROM", responseCode: 530, begun: true },
      true,
    ],
    [
      "a relay that cannot check",
      { code: "EAUTH", command: "AUTH PLAIN", responseCode: 454 },
      false,
    ],
    ["a connection lost in it", { code: "ECONNECTION", command: "CONN" }, false],
    [
      "a refused recipient",
      { code: "EENVELOPE", command: "RCPT TO", responseCode: 550, begun: true },
      false,
    ],
  ])("%s", (_, fault, refused) => {
    expect(isAuthRefused({ code: "", command: "", begun: false, bodyRead: false, ...fault })).toBe(
      refused,
    );
  });
});

describe("isOfOneMail", () => {
  it.each<[string, Fault, boolean]>([
    ["a refusal of us at RCPT", faultAt("RCPT", "554 5.7.1 Relay access denied"), true],
    ["a refusal of us at the dot", faultAt("dot", "550 5.4.5 Daily sending quota exceeded"), true],
    ["a refusal of us at MAIL", faultAt("MAIL", "530 5.7.0 Authentication required"), false],
    ["a connection lost in a transaction", silentFault("RCPT", "ECONNECTION"), true],
    ["a connection lost before it", silentFault("before MAIL", "ECONNECTION"), false],
  ])("%s: %j is %s", (_, fault, expected) => {
    expect(isOfOneMail(fault)).toBe(expected);
  });
});

describe("explainBriefly", () => {
  it("never quotes a relay, which may quote a recipient", () => {
    const texts = everyFault.map((fault) => explainBriefly(fault));

    expect(texts.filter((text) => /words|no code/.test(text))).toEqual([]);
  });

  it.each([
    [faultAt("RCPT", "554 5.7.1 <a@b.example>: Relay access denied"), "554 at RCPT TO (5.7.1)"],
    [faultAt("dot", "a stray line"), "unreadable reply at the final dot"],
    [faultAt("DATA", "a stray line"), "unreadable reply at DATA"],
    [silentFault("dot", "ETIMEDOUT"), "ETIMEDOUT at the final dot"],
    [silentFault("RCPT", "ECONNECTION"), "ECONNECTION at MAIL, RCPT or DATA"],
  ])("names the code and the phase of %j: %s", (fault, text) => {
    expect(explainBriefly(fault)).toBe(text);
  });
});

describe("explain", () => {
  it("is the relay's reply, if that can be read", () => {
    expect(explain(faultAt("RCPT", "550 5.1.1 unknown"))).toBe("550 5.1.1 unknown");
    expect(explain(faultAt("RCPT", "unknown"))).toBe("unreadable reply at RCPT TO");
  });
});
