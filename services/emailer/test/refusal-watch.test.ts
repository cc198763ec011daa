import { describe, expect, it } from "@jest/globals";
import { seeded } from "@wellsent/testing";
import { REFUSAL_LIMITS, RefusalWatch } from "../src/relay/refusal-watch.ts";

const MINUTE_MS = 60_000;

function start() {
  const clock = { now: 1_000_000 };
  const watch = new RefusalWatch(REFUSAL_LIMITS, () => clock.now);
  const refuse = (count: number, everyMs: number, first = 0) => {
    const answers = Array.from({ length: count }, (_, number) => {
      clock.now += everyMs;
      return watch.noteRefused(`user${first + number}@example.com`);
    });
    return answers.indexOf(true);
  };
  return { clock, watch, refuse };
}

describe("RefusalWatch", () => {
  it("trips at the twentieth recipient that is refused within a minute, and believes the nineteen before", () => {
    const { watch, refuse } = start();

    expect(refuse(20, 100)).toBe(19);
    expect(watch.isTripped).toBe(true);
  });

  it("goes on not to believe refusals until a mail is taken", () => {
    const { clock, watch, refuse } = start();
    refuse(20, 100);

    clock.now += 10 * MINUTE_MS;
    expect(watch.noteRefused("late@example.com")).toBe(true);
    watch.noteTaken();

    expect(watch.isTripped).toBe(false);
    expect(watch.noteRefused("later@example.com")).toBe(false);
  });

  it("starts from nothing after a mail was taken", () => {
    const { watch, refuse } = start();
    refuse(30, 100);
    watch.noteTaken();

    // Of one taken and nineteen refused, 95 % are refused; but these are not twenty recipients.
    expect(refuse(19, 100, 100)).toBe(-1);
    expect(refuse(1, 100, 200)).toBe(0);
  });

  it("does not trip for one wrong address at a time, however many in an hour", () => {
    const { refuse } = start();

    expect(refuse(1_000, 4_000)).toBe(-1);
  });

  it("does not trip for one recipient that is refused again and again", () => {
    const { clock, watch } = start();

    const answers = Array.from({ length: 1_000 }, () => {
      clock.now += 10;
      return watch.noteRefused("ada@example.com");
    });

    expect(answers).not.toContain(true);
  });

  it.each([
    [1, 10, false],
    [1, 19, false],
    [1, 20, true],
    [2, 37, false],
    [2, 38, true],
    [100, 1_000, false],
  ])("of %i taken and then %i refused in a minute, trips: %s", (taken, refused, trips) => {
    const { watch, refuse } = start();
    for (let number = 0; number < taken; number += 1) watch.noteTaken();

    expect(refuse(refused, 10) >= 0).toBe(trips);
  });

  it("forgets what was taken a minute ago", () => {
    const { clock, watch, refuse } = start();
    for (let number = 0; number < 1_000; number += 1) watch.noteTaken();
    clock.now += MINUTE_MS;

    expect(refuse(20, 100)).toBe(19);
  });

  it("forgets a refusal after a minute, and after less than six seconds of it too early", () => {
    const { clock, watch, refuse } = start();
    refuse(19, 1);

    clock.now += 0.9 * MINUTE_MS - 100;
    expect(watch.noteRefused("in-time@example.com")).toBe(true);
    watch.noteTaken();
    refuse(19, 1, 100);
    clock.now += MINUTE_MS;

    expect(watch.noteRefused("late@example.com")).toBe(false);
  });

  it("trips whatever the order, only where both limits are reached (seed 17)", () => {
    const { chance, whole } = seeded(17);
    for (let round = 0; round < 200; round += 1) {
      const { clock, watch } = start();
      const taken = whole(0, 5);
      const events = Array.from({ length: 60 }, (_, number) => number >= taken || chance(0.5));
      const counts = { refused: 0, taken: 0 };
      const mismatches = events.filter((isRefused, number) => {
        clock.now += 10;
        if (watch.isTripped) return false;
        if (!isRefused) watch.noteTaken();
        counts[isRefused ? "refused" : "taken"] += 1;
        const trips = isRefused && watch.noteRefused(`user${number}@example.com`);
        const share = counts.refused / (counts.refused + counts.taken);
        return trips !== (isRefused && counts.refused >= 20 && share >= 0.95);
      });

      expect([round, mismatches]).toEqual([round, []]);
    }
  });
});
