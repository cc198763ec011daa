import { setTimeout as sleep } from "node:timers/promises";

/** Most tests are ready within milliseconds; those that are not ask seldom enough to leave the machine to what they test. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 50;

/**
 * Asks a predicate again and again until it returns something truthy, and resolves to that. A predicate that throws is
 * asked again too. `deadlineMs` only bounds a test that fails; no test may depend on its length.
 * @throws {Error} after the deadline, with `what` and the last error of the predicate
 */
export async function waitFor<T>(
  what: string,
  predicate: () => T | Promise<T>,
  deadlineMs = 15_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + deadlineMs;
  let cause: unknown;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const value = await predicate();
      cause = undefined;
      if (value) return value;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause });
    await sleep(pauseMs);
  }
}
