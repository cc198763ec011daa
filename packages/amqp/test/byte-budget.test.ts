import { describe, expect, it } from "@jest/globals";
import { ByteBudget } from "../src/byte-budget.ts";

const MIB = 1_048_576;

describe("ByteBudget", () => {
  it("assumes large messages before the first ones arrive", () => {
    expect(new ByteBudget(32 * MIB).fits(5, 20)).toBe(6);
  });

  it("allows the whole share after small messages", () => {
    const budget = new ByteBudget(32 * MIB);

    for (let message = 0; message < 40; message += 1) {
      budget.add(1_000);
      budget.free(1_000);
    }

    expect(budget.fits(5, 20)).toBe(20);
  });

  it("allows fewer messages after one larger message", () => {
    const budget = new ByteBudget(32 * MIB);

    budget.add(4 * MIB);
    budget.free(4 * MIB);

    expect(budget.fits(1, 100)).toBe(8);
  });

  it("allows only messages that fit beside the bytes in flight", () => {
    const budget = new ByteBudget(4 * MIB);

    budget.add(MIB);
    budget.add(MIB);

    expect([budget.fits(1, 100), budget.fitsAtMost(1, 100)]).toEqual([2, 4]);
  });

  it("allows at least one message of each queue, even of large messages", () => {
    const budget = new ByteBudget(MIB);
    budget.add(3 * MIB);
    budget.free(3 * MIB);

    expect(budget.fits(17, 5)).toBe(1);
  });

  it("is full at its limit, and half free at half of it", () => {
    const budget = new ByteBudget(2 * MIB);

    budget.add(MIB);
    expect([budget.isFull, budget.isHalfFree]).toEqual([false, true]);
    budget.add(MIB);
    expect([budget.isFull, budget.isHalfFree]).toEqual([true, false]);
    budget.free(MIB);
    expect([budget.isFull, budget.isHalfFree, budget.inFlight]).toEqual([false, true, MIB]);
  });
});
