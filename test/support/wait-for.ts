import { setTimeout as sleep } from "node:timers/promises";

/** Waits until a predicate holds and resolves to what it gave. @throws {Error} naming `what` after the deadline */
export async function waitFor<T>(
  what: string,
  predicate: () => T | Promise<T>,
  deadlineMs = 15_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await Promise.resolve(predicate()).catch(() => undefined);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await sleep(50);
  }
}
