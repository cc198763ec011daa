import { binding, deadLetter, exchange, queue } from "./declarations.ts";
import { ladderExchanges, ladderQueue, retryExchange, retrySpareExchange } from "./ladder.ts";

/** The names of exchanges and queues. docs/messages.md describes each. */
export const EMAILS_EXCHANGE = "emails";
export const OUTCOMES_EXCHANGE = "outcomes";
export const ENTRY_EXCHANGE = "emailer.entry";
export const ADOPTED_EXCHANGE = "adopted";
export const RETRY_EXCHANGE = retryExchange();
export const RETRY_SPARE_EXCHANGE = retrySpareExchange();
export const EMAILER_QUEUE = "emailer";
export const LOGGER_QUEUE = "logger";
export const LOGGER_HELD_QUEUE = "logger.held";
export const LOGGER_PARKED_QUEUE = "logger.parked";
/** The exclusive queue of the only logger that consumes. Its connection declares it; the topology does not have it. */
export const LOGGER_LOCK_QUEUE = "logger.lock";
export const LADDER_QUEUE = ladderQueue();
export const PARKED_QUEUE = "emailer.parked";
/** While a message is stored in this queue, no emailer consumes. */
export const PAUSED_QUEUE = "emailer.paused";
export const PARKED_PASS_QUEUE = "emailer.parked.pass";

/** The routing key of a replay. It routes the delivery to the emailer, and a copy to the logger, which records it. */
export const REPLAY_KEY = "replay";

/** How long a parked message stays in the pass queue before it returns. Seconds. */
const PARKED_PASS_SECONDS = 1;
/** How long a message that the logger cannot read yet is held before the logger gets it again. Seconds. */
const LOGGER_HELD_SECONDS = 60;

/**
 * Returns the topology that every service declares. It has all but the queues and bindings of the ladder, which depend on
 * the emailer's configuration. `articleExchange`: the transient fanout exchange of the article, if it is configured.
 */
export function topology(articleExchange?: string) {
  const article = articleExchange === undefined ? [] : [articleExchange];
  return {
    exchanges: [
      exchange(EMAILS_EXCHANGE, "fanout"),
      exchange(OUTCOMES_EXCHANGE, "topic"),
      exchange(ENTRY_EXCHANGE, "direct"),
      exchange(ADOPTED_EXCHANGE, "fanout"),
      ...ladderExchanges(),
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
      // The exchanges are bound in both directions. The broker detects the cycle and routes one copy to each queue.
      ...article.map((name) => binding(EMAILS_EXCHANGE, name, "", "exchange")),
      ...article.map((name) => binding(name, EMAILS_EXCHANGE, "", "exchange")),
    ],
  };
}
