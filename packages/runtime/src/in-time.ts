import { setTimeout as sleep } from "node:timers/promises";

/** The longest that a timer can wait, in milliseconds. */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/** Waits for work, but at most so long and not beyond the signal. Resolves to whether the work was done. */
export async function inTime(ms: number, work: Promise<unknown>, signal?: AbortSignal) {
  const over = new AbortController();
  const either = signal ? AbortSignal.any([over.signal, signal]) : over.signal;
  const late = sleep(Math.min(ms, TIMER_MAX_MS), false, { signal: either }).catch(() => false);
  const done = work.then(() => true);
  return Promise.race([done, late]).finally(() => over.abort());
}
