import { describe, expect, it } from "@jest/globals";
import { settlesWithin } from "../src/settles-within.ts";
import { runProgram } from "./support/run-program.ts";

const LONG_MS = 60_000;
const SHORT_MS = 20;
const never = new Promise(() => undefined);

describe("settlesWithin", () => {
  it("resolves to true when the work has resolved", async () => {
    expect(await settlesWithin(LONG_MS, Promise.resolve())).toBe(true);
  });

  it("resolves to false when the time has passed first", async () => {
    expect(await settlesWithin(SHORT_MS, never)).toBe(false);
  });

  it("resolves to false when the signal aborts first, or has aborted", async () => {
    expect(await settlesWithin(LONG_MS, never, AbortSignal.timeout(SHORT_MS))).toBe(false);
    expect(await settlesWithin(LONG_MS, never, AbortSignal.abort())).toBe(false);
  });

  it("rejects when the work rejects in time", async () => {
    await expect(settlesWithin(LONG_MS, Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  it("handles a rejection after the time, which would otherwise end the process", async () => {
    const { code, stdout, stderr } = await runProgram("late-failure").ended;

    expect([code, stdout, stderr]).toEqual([0, "false\n", ""]);
  });
});
