import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { createFakeLog } from "@wellsent/testing";
import { RETENTION_FILE, RetentionClock } from "../src/audit/retention-clock.ts";
import { temporaryDirectory } from "./support.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.UTC(2026, 10, 23, 12);

/** A machine with a clock that the test sets, and the starts of a logger on it. */
function machine(newestDay?: number) {
  const directory = temporaryDirectory();
  const time = { now: NOW, uptime: 1_000 };
  const start = async () => {
    const clock = new RetentionClock({
      directory,
      newestDay: () => Promise.resolve(newestDay),
      onTick: () => Promise.resolve(),
      log: createFakeLog(),
      now: () => time.now,
      uptime: () => time.uptime,
    });
    await clock.tick();
    return clock;
  };
  const pass = (ms: number) => {
    time.now += ms;
    time.uptime += ms / 1_000;
  };
  return { directory, time, start, pass };
}

describe("RetentionClock", () => {
  it.each([91, 3_652, 36_500])("does not follow a clock that jumps %d days ahead", async (days) => {
    const { time, start, pass } = machine();
    await start();

    time.now += days * DAY_MS;
    for (let starts = 0; starts < 100; starts++) {
      const clock = await start();
      expect(clock.now()).toBe(NOW);
      expect(clock.check()?.reason).toContain(`${days} days ahead`);
    }
    time.now = NOW;
    pass(HOUR_MS);

    const clock = await start();
    expect(clock.now()).toBe(NOW + HOUR_MS);
    expect(clock.check()).toBeUndefined();
  });

  it("does not follow a jump while it runs, but for ten times the time since", async () => {
    const { time, start, pass } = machine();
    const clock = await start();

    time.now += 91 * DAY_MS;
    pass(HOUR_MS);

    expect(clock.now()).toBe(NOW + 10 * HOUR_MS);
  });

  it("follows the clock of an idle machine, and over restarts", async () => {
    const { start, pass } = machine();
    const clock = await start();

    for (let days = 1; days <= 100; days++) {
      pass(DAY_MS);
      expect(clock.now()).toBe(NOW + days * DAY_MS);
    }
    await clock.tick();
    pass(DAY_MS);

    expect((await start()).now()).toBe(NOW + 101 * DAY_MS);
  });

  it("makes up for an outage within a tenth of it", async () => {
    const { directory, time, start, pass } = machine();
    await start();
    const path = join(directory, RETENTION_FILE);
    const state = JSON.parse(readFileSync(path, "utf8")) as object;
    writeFileSync(path, JSON.stringify({ ...state, boot: "another", uptime: 9e9 }));

    time.now += 30 * DAY_MS;
    const clock = await start();
    expect(clock.now()).toBe(NOW);
    pass(4 * DAY_MS);

    expect(clock.now()).toBe(NOW + 34 * DAY_MS);
  });

  it("is not ahead of a clock that is set back, and loses nothing by it", async () => {
    const { time, start } = machine();
    const clock = await start();

    time.now = 0;
    expect(clock.now()).toBe(0);
    time.now = NOW;

    expect(clock.now()).toBe(NOW);
  });

  it("begins with the newest day of the audit log, and not before the clock is right", async () => {
    const { time, start } = machine(NOW - DAY_MS);
    time.now = 0;
    expect((await start()).now()).toBe(0);

    time.now = NOW + 91 * DAY_MS;
    expect((await start()).now()).toBe(NOW - DAY_MS);
  });
});
