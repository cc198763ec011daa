import { setTimeout as sleep } from "node:timers/promises";

/** The longest time that a timer of Node can wait. Milliseconds. */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * Waits for `work`. Resolves to `true` when it has resolved, and to `false` if `ms` milliseconds pass or the signal aborts
 * first. Rejects as `work` does; a rejection after the time is ignored.
 */
export async function settlesWithin(ms: number, work: Promise<unknown>, signal?: AbortSignal) {
  const settled = new AbortController();
  const either = signal ? AbortSignal.any([settled.signal, signal]) : settled.signal;
  const late = sleep(Math.min(ms, TIMER_MAX_MS), false, { signal: either }).catch(() => false);
  const done = work.then(() => true);
  return Promise.race([done, late]).finally(() => settled.abort());
}
