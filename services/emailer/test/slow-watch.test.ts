import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { SlowWatch } from "../src/relay/slow-watch.ts";

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe("SlowWatch", () => {
  it("reports a relay as slow when no place was returned for the given time", () => {
    const { watch, changes } = setUp();

    watch.start();
    jest.advanceTimersByTime(999);
    expect([watch.isSlow, changes]).toEqual([false, []]);
    jest.advanceTimersByTime(1);

    expect([watch.isSlow, changes]).toEqual([true, [true]]);
  });

  it("does not when a place was returned in time", () => {
    const { watch, changes } = setUp();

    for (let round = 0; round < 3; round += 1) {
      watch.start();
      jest.advanceTimersByTime(999);
      watch.stop();
    }
    jest.advanceTimersByTime(10_000);

    expect([watch.isSlow, changes]).toEqual([false, []]);
  });

  it("ends with the first place that is returned, and reports that once", () => {
    const { watch, changes } = setUp();
    watch.start();
    jest.advanceTimersByTime(5_000);

    watch.stop();
    watch.stop();

    expect([watch.isSlow, changes]).toEqual([false, [true, false]]);
  });

  it("finds a relay slow again", () => {
    const { watch, changes } = setUp();
    for (let round = 0; round < 2; round += 1) {
      watch.start();
      jest.advanceTimersByTime(1_000);
      watch.stop();
    }

    expect(changes).toEqual([true, false, true, false]);
  });
});

function setUp() {
  const changes: boolean[] = [];
  const watch = new SlowWatch(1_000, (isSlow) => changes.push(isSlow));
  return { watch, changes };
}
