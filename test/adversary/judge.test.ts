import { describe, expect, it } from "@jest/globals";
import { judge, type Evidence } from "./judge.ts";
import type { Take } from "./relay.ts";

const ID = "019ab000-0000-7000-8000-000000000001.0.0";
const RECIPIENT = "a@example.com";

function take(begun: number): Take {
  const times = { begun, dot: begun + 100, time: begun + 200 };
  return { recipient: RECIPIENT, emailId: ID, by: "emailer-1", ...times };
}

const line = (possibleDuplicate: boolean) => ({
  ...{ kind: "email.sent", delivery: ID, time: 0, possibleDuplicate },
});
const killed = (time: number) => ({ emailer: "emailer-1", killed: true, time });
const cut = (time: number) => ({ emailer: "emailer-1", killed: false, time });

function judged(evidence: Partial<Evidence>) {
  const expected = [{ recipient: RECIPIENT, delivery: ID }];
  const all = { expected, takes: [], lines: [line(true)], confirmed: [], deaths: [], ...evidence };
  const { lost, inside, outside, unflagged } = judge(all);
  return [lost, inside, outside, unflagged].map(({ length }) => length);
}

describe("judge", () => {
  it("finds nothing wrong with a mail that was taken and recorded once", () => {
    expect(judged({ takes: [take(1_000)] })).toEqual([0, 0, 0, 0]);
  });

  it.each<[string, Partial<Evidence>]>([
    ["was never taken", {}],
    ["is not recorded as sent", { takes: [take(1_000)], lines: [] }],
  ])("counts a mail as lost that %s", (_, evidence) => {
    expect(judged(evidence)).toEqual([1, 0, 0, 0]);
  });

  it.each<[string, Partial<Evidence>]>([
    ["the emailer is killed after the 250", { deaths: [killed(1_250)] }],
    ["the emailer is killed between the dot and the 250", { deaths: [killed(1_150)] }],
    ["the emailer loses the broker after the 250", { deaths: [cut(1_250)] }],
    ["the emailer loses the broker before the 250", { deaths: [cut(1_150)] }],
  ])("counts a duplicate as inside the window when %s", (_, evidence) => {
    expect(judged({ takes: [take(1_000), take(2_000)], ...evidence })).toEqual([0, 1, 0, 0]);
  });

  it.each<[string, Partial<Evidence>]>([
    ["nothing happens", {}],
    ["the emailer loses the broker before it begins the first", { deaths: [cut(950)] }],
    ["another emailer is killed", { deaths: [{ ...killed(1_250), emailer: "emailer-2" }] }],
    ["the emailer is killed before the dot", { deaths: [killed(1_050)] }],
    [
      "`sent` is confirmed before the emailer is killed",
      { deaths: [killed(1_250)], confirmed: [{ delivery: ID, time: 1_220 }] },
    ],
    [
      "the second begins before the first one's 250",
      { takes: [take(1_000), take(1_150)], deaths: [cut(1_140)] },
    ],
  ])("counts a duplicate as outside the window when %s", (_, evidence) => {
    expect(judged({ takes: [take(1_000), take(2_000)], ...evidence })).toEqual([0, 0, 1, 0]);
  });

  it("counts a duplicate that no line flags", () => {
    const evidence = { takes: [take(1_000), take(2_000)], deaths: [killed(1_250)] };

    expect(judged({ ...evidence, lines: [line(false)] })).toEqual([0, 1, 0, 1]);
  });
});
