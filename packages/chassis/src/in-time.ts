import { setTimeout as sleep } from "node:timers/promises";

/** Waits for work, but at most so long and not beyond the signal. Resolves to whether the work was done. */
export async function inTime(
  ms: number,
  work: Promise<unknown>,
  signal?: AbortSignal,
): Promise<boolean> {
  const over = new AbortController();
  const either = signal ? AbortSignal.any([over.signal, signal]) : over.signal;
  const late = sleep(ms, false, { signal: either }).catch(() => false);
  const done = work.then(() => true);
  return Promise.race([done, late]).finally(() => over.abort());
}
