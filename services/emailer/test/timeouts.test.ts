import { describe, expect, it } from "@jest/globals";
import { TIMEOUTS, withFailover } from "../src/relay/timeouts.ts";

const MINUTE_MS = 60_000;

describe("TIMEOUTS", () => {
  it("has the times of RFC 5321 §4.5.3.2, and half a minute for an address to connect", () => {
    expect(TIMEOUTS).toMatchObject({
      connect: MINUTE_MS / 2,
      greeting: 5 * MINUTE_MS,
      command: 5 * MINUTE_MS,
      data: 2 * MINUTE_MS,
      block: 3 * MINUTE_MS,
      final: 10 * MINUTE_MS,
      held: 10 * MINUTE_MS,
    });
  });
});

describe("withFailover", () => {
  it("shortens the times before the final dot, and no other", () => {
    const { greeting, command, data, block, ...others } = withFailover(TIMEOUTS);

    expect([greeting, command, data, block]).toEqual(Array(4).fill(TIMEOUTS.failover));
    expect(TIMEOUTS).toMatchObject(others);
  });

  it("makes none longer", () => {
    const short = { ...TIMEOUTS, greeting: 1, command: 2, data: 3, block: 4 };

    expect(withFailover(short)).toEqual(short);
  });
});
