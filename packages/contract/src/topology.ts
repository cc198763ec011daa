/** Exchanges and queues by name. What a name means is in docs/messages.md. */
export const EMAILS_EXCHANGE = "emails";
export const OUTCOMES_EXCHANGE = "outcomes";
export const ENTRY_EXCHANGE = "emailer.entry";
export const ADOPTED_EXCHANGE = "adopted";
export const RETRY_EXCHANGE = "emailer.retry";
/** Where `emailer.retry` finds the way for what it has none for: only while the ladder's bindings are exchanged. */
export const RETRY_SPARE_EXCHANGE = "emailer.retry.spare";
export const EMAILER_QUEUE = "emailer";
export const LOGGER_QUEUE = "logger";
export const LOGGER_HELD_QUEUE = "logger.held";
export const LOGGER_PARKED_QUEUE = "logger.parked";
/** An exclusive queue that the connection of the one logger that consumes owns; it is no part of the topology. */
export const LOGGER_LOCK_QUEUE = "logger.lock";
export const LADDER_QUEUE = "emailer.ladder";
export const PARKED_QUEUE = "emailer.parked";
/** While a message rests in it, no emailer consumes: the brake. */
export const PAUSED_QUEUE = "emailer.paused";
export const PARKED_PASS_QUEUE = "emailer.parked.pass";

/** The key by which a replay enters: at once to the emailer, as a delivery, and to the logger, as a record of it. */
export const REPLAY_KEY = "replay";

/** The rungs' waiting times, in seconds; the last one repeats. */
export const DEFAULT_LADDER: readonly number[] = [10, 60, 600, 3_600];

/** The portable spelling of "no delivery limit": the broker's default of 20 deletes or strands messages. */
const NO_DELIVERY_LIMIT = 1_000_000_000;
const PARKED_PASS_SECONDS = 1;
const LOGGER_HELD_SECONDS = 60;

/** That messages with a key go from an exchange to a queue or another exchange. */
export type Binding = ReturnType<typeof binding>;
type Arguments = Record<string, string | number>;

/** What every service declares: all but the ladder's rungs. `articleExchange` is the article's transient fanout. */
export function topology(articleExchange?: string) {
  const article = articleExchange === undefined ? [] : [articleExchange];
  return {
    exchanges: [
      exchange(EMAILS_EXCHANGE, "fanout"),
      exchange(OUTCOMES_EXCHANGE, "topic"),
      exchange(ENTRY_EXCHANGE, "direct"),
      exchange(ADOPTED_EXCHANGE, "fanout"),
      exchange(RETRY_SPARE_EXCHANGE, "direct"),
      { ...exchange(RETRY_EXCHANGE, "direct"), alternateExchange: RETRY_SPARE_EXCHANGE },
      ...article.map((name) => ({ ...exchange(name, "fanout"), durable: false })),
    ],
    queues: [
      queue(EMAILER_QUEUE, deadLetter(RETRY_EXCHANGE, EMAILER_QUEUE)),
      queue(LOGGER_QUEUE, deadLetter("", LOGGER_HELD_QUEUE)),
      queue(LOGGER_HELD_QUEUE, deadLetter("", LOGGER_QUEUE, LOGGER_HELD_SECONDS)),
      queue(LOGGER_PARKED_QUEUE),
      queue(PAUSED_QUEUE),
      queue(PARKED_QUEUE, deadLetter("", PARKED_PASS_QUEUE)),
      queue(PARKED_PASS_QUEUE, deadLetter("", PARKED_QUEUE, PARKED_PASS_SECONDS)),
    ],
    bindings: [
      binding(EMAILS_EXCHANGE, EMAILER_QUEUE),
      binding(EMAILS_EXCHANGE, LOGGER_QUEUE),
      binding(OUTCOMES_EXCHANGE, LOGGER_QUEUE, "email.#"),
      binding(ENTRY_EXCHANGE, EMAILER_QUEUE, EMAILER_QUEUE),
      binding(ENTRY_EXCHANGE, EMAILER_QUEUE, REPLAY_KEY),
      binding(ENTRY_EXCHANGE, LOGGER_QUEUE, REPLAY_KEY),
      binding(ADOPTED_EXCHANGE, EMAILER_QUEUE),
      binding(ADOPTED_EXCHANGE, LOGGER_QUEUE),
      // Bound both ways: the broker breaks the circle, one copy per queue.
      ...article.map((name) => binding(EMAILS_EXCHANGE, name, "", "exchange")),
      ...article.map((name) => binding(name, EMAILS_EXCHANGE, "", "exchange")),
    ],
  };
}

/**
 * The ladder's rungs for the emailer, which alone rejects: `emailer` → wait 10 s → attempt 1 → wait 1 min → … and the
 * last rung repeats. Every step goes through `emailer.retry`, so that another schedule is another binding.
 */
export function ladder(seconds: readonly number[] = DEFAULT_LADDER) {
  const attempts = attemptQueues(seconds.length);
  const waits = seconds.map(waitQueue);
  return {
    queues: [
      queue(LADDER_QUEUE),
      ...attempts.map(attemptQueue),
      ...waits.map((name, rung) => queue(name, deadLetter(RETRY_EXCHANGE, name, seconds[rung]))),
    ],
    bindings: [
      ...[EMAILER_QUEUE, ...attempts].map((name, rung) =>
        binding(RETRY_EXCHANGE, waits[Math.min(rung, waits.length - 1)] ?? name, name),
      ),
      ...waits.map((name, rung) => binding(RETRY_EXCHANGE, attempts[rung] ?? name, name)),
    ],
  };
}

/**
 * The bindings of `emailer.retry` that make a schedule the ladder's, where others exist from schedules before. What waits on
 * a rung that is no more goes to the last attempt, and what was refused there to the last rung: nothing is left behind.
 */
export function retryBindings(seconds: readonly number[], existing: readonly Binding[]): Binding[] {
  const { bindings } = ladder(seconds);
  const lastWait = waitQueue(seconds.at(-1) ?? 0);
  const lastAttempt = attemptQueues(seconds.length).at(-1) ?? EMAILER_QUEUE;
  const keys = new Set(bindings.map(({ key }) => key));
  const gone = new Set(existing.map(({ key }) => key)).difference(keys);
  const onward = (key: string) => (key.startsWith("emailer.wait.") ? lastAttempt : lastWait);
  return [...bindings, ...[...gone].map((key) => binding(RETRY_EXCHANGE, onward(key), key))];
}

/** The queues of the attempts after the first, `emailer.attempt.1` and on. */
export function attemptQueues(rungs: number): string[] {
  return Array.from({ length: rungs }, (_, rung) => `emailer.attempt.${rung + 1}`);
}

/** Whether a queue is that of an attempt after the first, of this schedule or another. */
export function isAttemptQueue(name: string): boolean {
  return /^emailer\.attempt\.\d+$/.test(name);
}

/** An attempt's queue, by its name. */
export function attemptQueue(name: string) {
  return queue(name, deadLetter(RETRY_EXCHANGE, name));
}

/** Such as `emailer.wait.10s`: a waiting time is part of the name, because it is an argument that never changes. */
function waitQueue(seconds: number): string {
  if (seconds % 3_600 === 0) return `emailer.wait.${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `emailer.wait.${seconds / 60}m` : `emailer.wait.${seconds}s`;
}

function exchange(name: string, type: "direct" | "fanout" | "topic") {
  return { name, type, durable: true };
}

function queue(name: string, extra: Arguments = {}): { name: string; arguments: Arguments } {
  const common = { "x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT };
  return { name, arguments: { ...common, ...extra } };
}

/**
 * At-least-once dead-lettering of what is rejected or has waited so long; it needs `reject-publish`, which without a length
 * limit refuses nothing.
 */
function deadLetter(exchangeName: string, key: string, afterSeconds?: number): Arguments {
  return {
    "x-dead-letter-exchange": exchangeName,
    "x-dead-letter-routing-key": key,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    ...(afterSeconds !== undefined && { "x-message-ttl": afterSeconds * 1_000 }),
  };
}

function binding(source: string, destination: string, key = "", to = "queue") {
  return { source, destination, to, key };
}
