import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { Capacity } from "../src/relay/capacity.ts";
import type { Rate } from "../src/relay/relay-url.ts";

const PAUSE_MS = 1_000;
const SLOW_MS = 10_000;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["queueMicrotask"] });
});

afterEach(() => {
  jest.useRealTimers();
});

describe("Capacity", () => {
  it("has one place for each connection", () => {
    const { capacity } = setUp(2);

    expect([capacity.take(), capacity.take(), capacity.take()]).toEqual([true, true, false]);
  });

  it("has no more places than the rate has tokens", () => {
    const { capacity } = setUp(5, { mails: 1, periodMs: 1_000 });

    expect([capacity.take(), capacity.take()]).toEqual([true, false]);
  });

  it("returns a place only after the caller, who may open the circuit, is done", async () => {
    const { capacity, freed } = setUp(1);
    capacity.take();

    capacity.giveBack(true);
    expect(freed()).toBe(0);
    await Promise.resolve();

    expect([freed(), capacity.take()]).toEqual([1, true]);
  });

  it("has one place less for ten pauses after the relay refused a connection, and keeps the token", () => {
    const { capacity, freed } = setUp(2, { mails: 2, periodMs: 60_000 });
    capacity.take();

    capacity.withhold();
    expect([capacity.take(), capacity.take()]).toEqual([true, false]);
    jest.advanceTimersByTime(10 * PAUSE_MS - 1);
    expect([capacity.take(), freed()]).toEqual([false, 0]);
    jest.advanceTimersByTime(1);

    expect([freed(), capacity.take()]).toEqual([1, true]);
  });

  it("is slow when every place was taken for some time, and no more when one is returned", () => {
    const { capacity, slow } = setUp(2);
    capacity.take();
    jest.advanceTimersByTime(2 * SLOW_MS);
    expect(slow).toEqual([]);

    capacity.take();
    jest.advanceTimersByTime(SLOW_MS);
    expect([capacity.isSlow, slow]).toEqual([true, [true]]);
    capacity.giveBack(true);

    expect([capacity.isSlow, slow]).toEqual([false, [true, false]]);
  });

  it("is never slow once it is stopped", () => {
    const { capacity, slow } = setUp(1);
    capacity.take();

    capacity.stop();
    jest.advanceTimersByTime(2 * SLOW_MS);

    expect(slow).toEqual([]);
  });

  it("gives a probe a place, also one that fails, and none when all are taken", async () => {
    const { capacity } = setUp(1);

    const held = capacity.probe(() => Promise.resolve(capacity.take()));
    expect(await held).toBe(false);
    await expect(capacity.probe(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(capacity.take()).toBe(true);

    expect(await capacity.probe(() => Promise.resolve(1))).toBe("busy");
  });
});

function setUp(connections: number, rate?: Rate) {
  const slow: boolean[] = [];
  let freed = 0;
  const capacity = new Capacity({
    connections,
    rate,
    timeouts: { pause: PAUSE_MS, slow: SLOW_MS },
    onFree: () => (freed += 1),
    onSlow: (isSlow) => slow.push(isSlow),
  });
  return { capacity, slow, freed: () => freed };
}
