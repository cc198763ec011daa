import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { RateLimit } from "../src/relay/rate-limit.ts";

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe("RateLimit", () => {
  it("has as many tokens as the rate has mails", () => {
    const { rate } = setUp(3);

    const had = Array.from({ length: 4 }, () => {
      const hasToken = rate.hasToken;
      if (hasToken) rate.take();
      return hasToken;
    });

    expect(had).toEqual([true, true, true, false]);
  });

  it("returns a used token more than a period after the relay's reply, and says so", () => {
    const { rate, returned } = setUp(1);
    rate.take();
    jest.advanceTimersByTime(5_000);

    rate.giveBack(true);
    jest.advanceTimersByTime(1_000);
    expect([rate.hasToken, returned()]).toEqual([false, 0]);
    jest.advanceTimersByTime(100);

    expect([rate.hasToken, returned()]).toEqual([true, 1]);
  });

  it("returns an unused token at once", () => {
    const { rate } = setUp(1);
    rate.take();

    rate.giveBack(false);

    expect(rate.hasToken).toBe(true);
  });

  it("never has more tokens than the rate, whatever was returned", () => {
    const { rate } = setUp(2);
    for (let round = 0; round < 5; round += 1) {
      while (rate.hasToken) rate.take();
      rate.giveBack(round % 2 === 0);
      rate.giveBack(true);
      jest.advanceTimersByTime(2_000);
    }
    let tokens = 0;
    while (rate.hasToken) {
      rate.take();
      tokens += 1;
    }

    expect(tokens).toBe(2);
  });

  it("has no limit without a rate, and starts no timer", () => {
    const rate = new RateLimit(undefined, () => undefined);
    for (let mail = 0; mail < 10_000; mail += 1) {
      rate.take();
      rate.giveBack(mail % 2 === 0);
    }

    expect([rate.hasToken, jest.getTimerCount()]).toEqual([true, 0]);
  });
});

function setUp(mails: number) {
  let returned = 0;
  const rate = new RateLimit({ mails, periodMs: 1_000 }, () => (returned += 1));
  return { rate, returned: () => returned };
}
