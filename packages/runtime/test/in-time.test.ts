import { describe, expect, it } from "@jest/globals";
import { inTime } from "../src/in-time.ts";

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

  it("lets the work fail later without a word", async () => {
    const { promise, reject } = Promise.withResolvers();

    expect(await inTime(SHORT_MS, promise)).toBe(false);
    reject(new Error("too late"));

    await expect(promise).rejects.toThrow("too late");
  });
});
