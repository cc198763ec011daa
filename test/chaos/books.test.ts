import { describe, expect, it } from "@jest/globals";
import { balance, type Evidence, type Line } from "./books.ts";
import type { Sent } from "./load.ts";
import type { Take } from "./relay.ts";

const ID = "019ab000-0000-7000-8000-000000000001";
const TO = "n0-0@well.example";
/** A session that went on with another mail. */
const OPEN = { by: "one", begun: Infinity };
/** A session that took no other mail. */
const LAST = { by: "one", begun: 900 };
const KILLED = { emailer: "one", killed: true, time: 1_500 };
const CUT_OFF = { ...KILLED, killed: false };

function sent(outcome: Sent["outcome"], ...recipients: string[]): Sent {
  const known = outcome === "accepted" ? { id: ID } : {};
  return { recipients, status: 0, ...(outcome && { outcome }), ...known };
}

function take(time: number, session: Take["session"] = OPEN): Take {
  return { emailId: ID, recipient: TO, begun: time - 100, time, session };
}

function line(kind: string, time = 0, possibleDuplicate = false): Line {
  return { kind: `email.${kind}`, delivery: `${ID}.0.0`, time, possibleDuplicate };
}

function confirmed(time: number) {
  return { delivery: `${ID}.0.0`, time };
}

function balanceOf(evidence: Partial<Evidence>) {
  return balance({
    ...{ sent: [sent("accepted", TO)], takes: [], refused: new Set(), lines: [] },
    ...{ parked: [], confirmed: [], deaths: [], ...evidence },
  });
}

describe("the books' ends of a delivery", () => {
  it("are sent, failed and parked, by the relay's word and the record's", () => {
    const accepted = line("accepted");
    const ends = [
      balanceOf({ takes: [take(1)], lines: [accepted, line("sent")] }),
      balanceOf({ refused: new Set([TO]), lines: [accepted, line("failed")] }),
      balanceOf({ parked: [`${ID}.0.0`], lines: [accepted, line("parked")] }),
    ];

    expect(ends.map(({ sent, failed, parked }) => [sent, failed, parked])).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(ends.flatMap(({ lost, unrecorded }) => [...lost, ...unrecorded])).toEqual([]);
  });

  it.each<[string, Partial<Evidence>]>([
    ["nothing became of it", { lines: [line("accepted")] }],
    ["the record says sent, and the relay never took it", { lines: [line("sent")] }],
    ["the record says failed, and the relay never refused it", { lines: [line("failed")] }],
    ["the record says parked, and it rests nowhere", { lines: [line("parked")] }],
  ])("are none, and it is lost, when %s", (_, evidence) => {
    expect(balanceOf(evidence).lost).toEqual([`${ID}.0.0`]);
  });

  it.each<[string, Line[]]>([
    ["its acceptance", [line("sent")]],
    ["its end", [line("accepted")]],
  ])("are not wholly recorded without %s", (_, lines) => {
    expect(balanceOf({ takes: [take(1)], lines }).unrecorded).toEqual([`${ID}.0.0`]);
  });
});

describe("the books' mails that were taken twice", () => {
  const flagged = line("sent", 2_000, true);
  const byOther = take(2_000, { by: "two", begun: Infinity });

  it.each<[string, Partial<Evidence>]>([
    ["its emailer was killed before that was confirmed", { deaths: [KILLED] }],
    [
      "its emailer was killed, which also ended its connections, and started again",
      { deaths: [KILLED, CUT_OFF] },
    ],
    [
      "the relay's connection was broken off before the 250 got through",
      { takes: [take(1_000, { ...LAST, brokenOff: 1_001 }), take(2_000)] },
    ],
    [
      "its emailer lost the broker, which handed it to another one",
      { takes: [take(1_000), byOther], deaths: [CUT_OFF] },
    ],
    [
      "it was confirmed only after its emailer had lost the broker",
      { takes: [take(1_000), byOther], deaths: [CUT_OFF], confirmed: [confirmed(1_510)] },
    ],
  ])("are inside the window after %s", (_, evidence) => {
    const { twiceInside, twiceOutside } = balanceOf({
      ...{ takes: [take(1_000), take(2_000)], lines: [flagged], ...evidence },
    });

    expect([twiceInside.length, twiceOutside.length]).toEqual([1, 0]);
  });

  it.each<[string, Partial<Evidence>]>([
    ["nothing died", {}],
    [
      "the emailer was killed before or after",
      {
        deaths: [
          { ...KILLED, time: 800 },
          { ...KILLED, time: 2_500 },
        ],
      },
    ],
    [
      "the emailer was killed while the second was under way",
      { deaths: [{ ...KILLED, time: 1_950 }] },
    ],
    ["another emailer was killed", { deaths: [{ ...KILLED, emailer: "two" }] }],
    [
      "the first was confirmed, its emailer killed, and the guard not heeded",
      { deaths: [KILLED, CUT_OFF], confirmed: [confirmed(1_010)] },
    ],
    [
      "the first was confirmed, its emailer killed, and the guard not heeded by another one",
      {
        takes: [take(1_000), byOther],
        deaths: [KILLED, CUT_OFF],
        confirmed: [confirmed(1_010)],
      },
    ],
    [
      "the first was confirmed, its emailer lost the broker, and the guard was not heeded",
      { takes: [take(1_000), byOther], deaths: [CUT_OFF], confirmed: [confirmed(1_010)] },
    ],
    ["its emailer lost the broker, and sent it again itself", { deaths: [CUT_OFF] }],
    [
      "its emailer lost the broker, and another one began it before the relay's 250",
      {
        takes: [{ ...take(1_600), begun: 1_300 }, take(1_450, { by: "two", begun: Infinity })],
        deaths: [{ ...CUT_OFF, time: 1_320 }],
        confirmed: [confirmed(1_460)],
      },
    ],
    [
      "the relay's connection went on after the first",
      { takes: [take(1_000, { by: "one", begun: 1_100, brokenOff: 1_200 }), take(2_000)] },
    ],
    ["its emailer closed the relay's connection", { takes: [take(1_000, LAST), take(2_000)] }],
    [
      "the relay's connection was broken off after the first was confirmed",
      {
        takes: [take(1_000, { ...LAST, brokenOff: 1_400 }), take(2_000)],
        confirmed: [confirmed(1_010)],
      },
    ],
  ])("are outside the window when %s", (_, evidence) => {
    const { twiceInside, twiceOutside } = balanceOf({
      ...{ takes: [take(1_000), take(2_000)], lines: [flagged], ...evidence },
    });

    expect([twiceInside.length, twiceOutside.length]).toEqual([0, 1]);
  });

  it("need a flag in the record", () => {
    const twice = { takes: [take(1_000), take(2_000)], deaths: [KILLED] };

    expect(balanceOf({ ...twice, lines: [flagged] }).twiceUnflagged).toEqual([]);
    expect(balanceOf({ ...twice, lines: [line("sent", 2_000)] }).twiceUnflagged).toHaveLength(1);
  });
});

describe("the books' refused requests", () => {
  it("tell of mail that was sent all the same", () => {
    expect(balanceOf({ sent: [sent("refused", TO)], takes: [take(1)] }).refusedAndSent).toEqual([
      TO,
    ]);
    expect(balanceOf({ sent: [sent("unknown", TO)], takes: [take(1)] }).refusedAndSent).toEqual([]);
  });
});
