import { describe, expect, it } from "@jest/globals";
import { inTime } from "../src/in-time.ts";
import { runProgram } from "./support/run-program.ts";

const LONG_MS = 60_000;
const SHORT_MS = 20;
const never = new Promise(() => undefined);

describe("inTime", () => {
  it("is true when the work is done", async () => {
    expect(await inTime(LONG_MS, Promise.resolve())).toBe(true);
  });

  it("is false when the work is not done in time", async () => {
    expect(await inTime(SHORT_MS, never)).toBe(false);
  });

  it("is false when the signal aborts first, or has aborted", async () => {
    expect(await inTime(LONG_MS, never, AbortSignal.timeout(SHORT_MS))).toBe(false);
    expect(await inTime(LONG_MS, never, AbortSignal.abort())).toBe(false);
  });

  it("rejects when the work fails in time", async () => {
    await expect(inTime(LONG_MS, Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  it("handles a rejection after the time, which would end the process", async () => {
    const { code, stdout, stderr } = await runProgram("late-failure").ended;

    expect([code, stdout, stderr]).toEqual([0, "false\n", ""]);
  });
});
