import { setTimeout as sleep } from "node:timers/promises";
import { settlesWithin } from "@wellsent/runtime";

/** Messages are handled in a random order: each waits up to this time, in milliseconds. The queue's order is always the same. */
const SPREAD_MS = 500;
/** When a message takes longer than this, in milliseconds, the next one is handled beside it. */
const ALONE_MS = 5_000;

/**
 * Creates the quarantine, which handles one message after the other: those that several emailers crashed with. One of them is
 * the cause, the others were in flight beside it. Alone and in a random order, about half of the others are sent before the
 * next crash.
 */
export function createQuarantine() {
  let turn: Promise<unknown> = Promise.resolve();
  return async <T>(work: () => Promise<T>): Promise<T> => {
    await sleep(Math.random() * SPREAD_MS);
    const begun = turn.then(() => ({ result: work() }));
    turn = begun.then(({ result }) => settlesWithin(ALONE_MS, result)).catch(() => undefined);
    return (await begun).result;
  };
}
