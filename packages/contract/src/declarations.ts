/** The arguments of a queue. */
export type Arguments = Record<string, string | number>;

/** A queue declaration. Every queue is durable. */
export interface QueueDeclaration {
  name: string;
  arguments: Arguments;
}

/** A binding declaration: the source exchange routes messages with this key to the destination. */
export interface Binding {
  source: string;
  destination: string;
  /** Whether the destination is a `queue` or an `exchange`. */
  to: string;
  key: string;
}

/** A portable way to have no delivery limit: with the default limit of 20, brokers drop or hold back messages. */
const NO_DELIVERY_LIMIT = 1_000_000_000;

/** Declares a durable exchange. */
export function exchange(name: string, type: "direct" | "fanout" | "topic") {
  return { name, type, durable: true };
}

/** Declares a quorum queue that keeps each message until it is settled. */
export function queue(name: string, extra: Arguments = {}): QueueDeclaration {
  const common = { "x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT };
  return { name, arguments: { ...common, ...extra } };
}

/**
 * Returns the arguments for at-least-once dead-lettering of messages that are rejected, or that have waited `afterSeconds`.
 * It needs `reject-publish`, which refuses no message while the queue has no length limit.
 */
export function deadLetter(exchangeName: string, key: string, afterSeconds?: number): Arguments {
  return {
    "x-dead-letter-exchange": exchangeName,
    "x-dead-letter-routing-key": key,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    ...(afterSeconds !== undefined && { "x-message-ttl": afterSeconds * 1_000 }),
  };
}

/** Declares a binding. */
export function binding(source: string, destination: string, key = "", to = "queue"): Binding {
  return { source, destination, to, key };
}
