import { describe, expect, it } from "@jest/globals";
import { ByteBudget } from "../src/byte-budget.ts";

const MIB = 1_048_576;

describe("ByteBudget", () => {
  it("assumes large messages until some were seen", () => {
    expect(new ByteBudget(32 * MIB).fits(5, 20)).toBe(6);
  });

  it("asks for the whole share after small messages", () => {
    const budget = new ByteBudget(32 * MIB);

    for (let message = 0; message < 40; message += 1) {
      budget.take(1_000);
      budget.free(1_000);
    }

    expect(budget.fits(5, 20)).toBe(20);
  });

  it("asks for fewer messages as soon as one is larger", () => {
    const budget = new ByteBudget(32 * MIB);

    budget.take(4 * MIB);
    budget.free(4 * MIB);

    expect(budget.fits(1, 100)).toBe(8);
  });

  it("fits only what the bytes in flight leave room for", () => {
    const budget = new ByteBudget(4 * MIB);

    budget.take(MIB);
    budget.take(MIB);

    expect([budget.fits(1, 100), budget.fitsAtMost(1, 100)]).toEqual([2, 4]);
  });

  it("asks for one message of each queue at least, however large messages are", () => {
    const budget = new ByteBudget(MIB);
    budget.take(3 * MIB);
    budget.free(3 * MIB);

    expect(budget.fits(17, 5)).toBe(1);
  });

  it("is full at its limit, and half free again at half of it", () => {
    const budget = new ByteBudget(2 * MIB);

    budget.take(MIB);
    expect([budget.isFull, budget.isHalfFree]).toEqual([false, true]);
    budget.take(MIB);
    expect([budget.isFull, budget.isHalfFree]).toEqual([true, false]);
    budget.free(MIB);
    expect([budget.isFull, budget.isHalfFree, budget.inFlight]).toEqual([false, true, MIB]);
  });
});
