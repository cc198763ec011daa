import { describe, expect, it } from "@jest/globals";
import { ByteBudget } from "../src/byte-budget.ts";
import { isPrefetchOff, shareOf, type Consumption } from "../src/prefetch.ts";

const MESSAGE_BYTES = 1_000_000;
const SHARE = 40;

/** A budget of 100 messages of 1 MB, with this many in flight. */
function budgetWith(inFlight: number): ByteBudget {
  const budget = new ByteBudget(100 * MESSAGE_BYTES);
  for (let count = 0; count < 20 + inFlight; count += 1) budget.add(MESSAGE_BYTES);
  for (let count = 0; count < 20; count += 1) budget.free(MESSAGE_BYTES);
  return budget;
}

const consuming = (prefetch: number): Consumption => ({
  queues: 1,
  consuming: 1,
  prefetch,
  isFull: false,
});
const PAUSED: Consumption = { queues: 1, consuming: 0, prefetch: 40, isFull: true };

describe("shareOf", () => {
  it.each([
    [10, 2, 5],
    [10, 3, 3],
    [2, 5, 1],
  ])("of a budget of %i messages and %i queues is %i", (budget, queues, share) => {
    expect(shareOf(budget, queues)).toBe(share);
  });
});

describe("isPrefetchOff", () => {
  it.each<[string, Consumption, number, boolean]>([
    ["paused by a full budget, half of it free", PAUSED, 50, true],
    ["paused by a full budget, less than half of it free", PAUSED, 51, false],
    ["a change in progress", { ...consuming(40), consuming: 0 }, 100, false],
    ["a full budget", consuming(40), 100, true],
    ["a budget that is almost full", consuming(40), 99, false],
    ["the prefetch that fits", consuming(40), 0, false],
    ["twice the prefetch fits", consuming(20), 0, true],
    ["less than twice the prefetch, but the whole share fits", consuming(39), 0, true],
    ["twice the prefetch fits, less than half of the bytes are free", consuming(5), 51, false],
    ["a prefetch of twice the share", consuming(80), 0, false],
    ["a prefetch above twice the share", consuming(81), 0, true],
  ])("with %s", (_, now, inFlight, expected) => {
    expect(isPrefetchOff(now, budgetWith(inFlight), SHARE)).toBe(expected);
  });
});
