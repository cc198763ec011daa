import {
  binding,
  deadLetter,
  exchange,
  queue,
  type Binding,
  type QueueDeclaration,
} from "./declarations.ts";

/** Waiting times before the next attempts, in seconds. The last one repeats. */
export const DEFAULT_LADDER: readonly number[] = [10, 60, 600, 3_600];

/** The queue of the first attempt, and the beginning of the names of a ladder's exchanges and queues. */
const EMAILER = "emailer";

/** Returns the exchange through which each message moves on the ladder, for example `emailer.retry`. */
export function retryExchange(prefix = EMAILER): string {
  return `${prefix}.retry`;
}

/**
 * Returns the alternate exchange of the retry exchange, for example `emailer.retry.spare`. It has the same bindings, and
 * routes the messages that the retry exchange cannot route while its own bindings are replaced.
 */
export function retrySpareExchange(prefix = EMAILER): string {
  return `${prefix}.retry.spare`;
}

/** Returns the queue that stores a message with the current bindings of the ladder, for example `emailer.ladder`. */
export function ladderQueue(prefix = EMAILER): string {
  return `${prefix}.ladder`;
}

/** Declares the two exchanges of a ladder. */
export function ladderExchanges(prefix = EMAILER) {
  const spare = retrySpareExchange(prefix);
  return [
    exchange(spare, "direct"),
    { ...exchange(retryExchange(prefix), "direct"), alternateExchange: spare },
  ];
}

/**
 * Declares the queues and bindings of a ladder. A message that is rejected in the queue `prefix` goes to the first wait
 * queue, then to `prefix.attempt.1`; if it is rejected there, to the second wait queue, and so on. The last rung repeats.
 * Every step goes through the retry exchange, so that another schedule needs other bindings only.
 */
export function ladder(seconds: readonly number[] = DEFAULT_LADDER, prefix = EMAILER) {
  const retry = retryExchange(prefix);
  const attempts = attemptQueues(seconds.length, prefix);
  const waits = seconds.map((wait) => waitQueue(wait, prefix));
  return {
    queues: [
      queue(ladderQueue(prefix)),
      ...attempts.map((name) => attemptQueue(name, prefix)),
      ...waits.map((name, rung) => queue(name, deadLetter(retry, name, seconds[rung]))),
    ],
    bindings: [
      ...[prefix, ...attempts].map((name, rung) =>
        binding(retry, waits[Math.min(rung, waits.length - 1)] ?? name, name),
      ),
      ...waits.map((name, rung) => binding(retry, attempts[rung] ?? name, name)),
    ],
  };
}

/**
 * Returns the bindings of the retry exchange for a schedule. `existing`: the bindings of earlier schedules. A message in a
 * wait queue that the schedule no longer has goes to the last attempt, and a message rejected in an attempt queue that it
 * no longer has goes to the last wait, so no message is stranded.
 */
export function retryBindings(
  seconds: readonly number[],
  existing: readonly Binding[],
  prefix = EMAILER,
): Binding[] {
  const { bindings } = ladder(seconds, prefix);
  const lastWait = waitQueue(seconds.at(-1) ?? 0, prefix);
  const lastAttempt = attemptQueues(seconds.length, prefix).at(-1) ?? prefix;
  const keys = new Set(bindings.map(({ key }) => key));
  const removed = new Set(existing.map(({ key }) => key)).difference(keys);
  const next = (key: string) => (key.startsWith(`${prefix}.wait.`) ? lastAttempt : lastWait);
  const onward = [...removed].map((key) => binding(retryExchange(prefix), next(key), key));
  return [...bindings, ...onward];
}

/** Returns the names of the queues of the attempts after the first, for example `emailer.attempt.1`. */
export function attemptQueues(rungs: number, prefix = EMAILER): string[] {
  return Array.from({ length: rungs }, (_, rung) => `${prefix}.attempt.${rung + 1}`);
}

/** Whether a queue is one of the attempts after the first, in any schedule. */
export function isAttemptQueue(name: string, prefix = EMAILER): boolean {
  const start = `${prefix}.attempt.`;
  return name.startsWith(start) && /^\d+$/.test(name.slice(start.length));
}

/** Declares the queue of an attempt after the first. */
export function attemptQueue(name: string, prefix = EMAILER): QueueDeclaration {
  return queue(name, deadLetter(retryExchange(prefix), name));
}

/** The name has the waiting time, because a declared queue can never get another one: `emailer.wait.10s`. */
function waitQueue(seconds: number, prefix: string): string {
  if (seconds % 3_600 === 0) return `${prefix}.wait.${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${prefix}.wait.${seconds / 60}m` : `${prefix}.wait.${seconds}s`;
}
