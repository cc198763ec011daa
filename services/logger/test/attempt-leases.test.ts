import { describe, expect, it } from "@jest/globals";
import { createTwins } from "../src/intake/attempt-leases.ts";

const delivery = "01a20b8d-d48b-7f92-9d4e-d5c21d5c7759.0.0";

function setUp() {
  const clock = { ms: 1 };
  const { accepted, hasTwin, ended } = createTwins(() => clock.ms);
  let askers = 0;
  const ask = (attempt: number, copy: { marked?: boolean; again?: boolean } = {}) =>
    hasTwin({ delivery, attempt, asker: `asker ${(askers += 1)}`, ...copy });
  const accept = (marked: boolean) => accepted(delivery, marked);
  return { clock, accept, hasTwin, ask, end: () => ended(delivery) };
}

describe("a copy of a delivery", () => {
  it("has no twin, however often the same asker asks", () => {
    const { hasTwin } = setUp();

    const query = { delivery, attempt: 2, asker: "a" };

    expect([hasTwin(query), hasTwin(query)]).toEqual([false, false]);
  });

  it("has a twin when the same attempt was another asker's, also after its outcome", () => {
    const { ask, end } = setUp();
    ask(2);

    expect(ask(2)).toBe(true);
    end();
    expect([ask(2), ask(1)]).toEqual([true, true]);
  });

  it("has a twin on later rungs until the attempt's outcome is recorded", () => {
    const { ask, end } = setUp();
    ask(2);

    expect([ask(3), ask(4, { marked: true })]).toEqual([true, true]);
    end();
    expect(ask(5)).toBe(false);
  });

  it("has none when it is the one that an emailer died with", () => {
    const { ask } = setUp();
    ask(2, { marked: true });

    expect(ask(2, { marked: true, again: true })).toBe(false);
  });

  it("has one when an emailer died with the other", () => {
    const { ask } = setUp();
    ask(2, { marked: true });

    expect(ask(1, { again: true })).toBe(true);
  });

  it("has one at its first attempt when it was published again, and takes no turn", () => {
    const { ask } = setUp();

    expect(ask(1, { marked: true })).toBe(true);
    expect(ask(1, { again: true })).toBe(false);
    expect(ask(2, { marked: true })).toBe(true);
  });

  it("has one while the first copy of what was published again need not ask, for two minutes", () => {
    const { accept, ask, clock } = setUp();
    accept(false);
    accept(true);

    expect([ask(2, { marked: true }), ask(3, { marked: true })]).toEqual([true, true]);
    clock.ms += 130_000;
    expect(ask(4, { marked: true })).toBe(false);
  });

  it("has none once the first copy's outcome is recorded, or when that was never stored", () => {
    const [ended, alone] = [setUp(), setUp()];
    ended.accept(false);
    for (const { accept } of [ended, alone]) accept(true);
    ended.end();

    expect([ended, alone].map(({ ask }) => ask(2, { marked: true }))).toEqual([false, false]);
  });

  it("has none when it is the first copy that is asked about after all", () => {
    const { accept, ask } = setUp();
    accept(false);
    accept(true);

    expect(ask(1, { again: true })).toBe(false);
    expect(ask(2, { marked: true })).toBe(true);
  });

  it("has none when the other is in nobody's hands any more", () => {
    const { ask, clock } = setUp();
    ask(2);

    clock.ms += 3_600_000;

    expect(ask(3)).toBe(false);
  });

  it("is told apart only by those who say what they are about to do", () => {
    const { hasTwin } = setUp();

    expect([hasTwin({ delivery }), hasTwin({ delivery })]).toEqual([false, false]);
  });
});
