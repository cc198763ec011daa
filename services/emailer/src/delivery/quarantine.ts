import { setTimeout as sleep } from "node:timers/promises";
import { inTime } from "@wellsent/runtime";

/** Suspects come in the queue's order, the same at each start; spread over this long, the order is by chance. */
const SPREAD_MS = 500;
/** A suspect that takes longer than this to harm has the others go on beside it. */
const ALONE_MS = 5_000;

/**
 * Creates the queue of the suspects, which does the work of one after the other: deliveries that several emailers died with.
 * One of them is guilty, the others were in flight beside it. Alone and in a random order, about half of the innocent are
 * done before the guilty one strikes.
 */
export function createSuspects() {
  let turn: Promise<unknown> = Promise.resolve();
  return async <T>(work: () => Promise<T>): Promise<T> => {
    await sleep(Math.random() * SPREAD_MS);
    const begun = turn.then(() => ({ result: work() }));
    turn = begun.then(({ result }) => inTime(ALONE_MS, result)).catch(() => undefined);
    return (await begun).result;
  };
}
