import { randomUUID } from "node:crypto";
import type { Delivery } from "./consumer.ts";

/** AMQP 0-9-1 §4.2.5.3: octets of a short string, which properties are. */
const SHORT_STRING_MAX = 255;
/** A publisher may have sent more than its broker would take from us: amqplib encodes at most 64 KiB of headers. */
const HEADERS_MAX_BYTES = 16_384;
/** What brokers write into messages that they move, and would misread when a publisher does. */
const BROKERS_OWN = /^(x-(death|first-death|last-death|delivery-count|acquired-count)|B?CC$)/;

/** The message for another queue: as it came, less what a broker wrote into it and what cannot be published again. */
export function copyOf({ body, properties }: Pick<Delivery, "body" | "properties">, queue: string) {
  const headers = Object.entries<unknown>(properties.headers ?? {}).filter(isPlain);
  const fits = Buffer.byteLength(JSON.stringify(headers)) <= HEADERS_MAX_BYTES;
  return {
    exchange: "",
    routingKey: queue,
    messageId: shortString(properties.messageId) ?? randomUUID(),
    type: shortString(properties.type),
    headers: fits ? Object.fromEntries(headers) : {},
    body,
  };
}

/** n.b. what amqplib can read of a header it cannot always write; and `CC` and `BCC` would route the copy elsewhere too. */
function isPlain([name, value]: [string, unknown]): boolean {
  if (BROKERS_OWN.test(name) || shortString(name) === undefined) return false;
  return ["string", "boolean"].includes(typeof value) || Number.isSafeInteger(value);
}

/**
 * Whether a publisher wrote into a message what only brokers write. `moved`: the exchange by which the broker itself moves
 * messages to this queue. n.b. rejecting such a message stops all dead-lettering of a 3.10 node.
 */
export function isForged(delivery: Delivery, moved: string): boolean {
  const { exchange, properties, redelivered } = delivery;
  const { headers = {} } = properties;
  const moves = headers["x-death"] !== undefined;
  const losses = Number(headers["x-delivery-count"] ?? 0) > 0 && !redelivered;
  return exchange !== moved && (moves || losses);
}

/**
 * A property of a message if it can be published again. One that came with bytes that are not UTF-8 has grown by
 * reading, and would be refused at every attempt.
 */
export function shortString(text: unknown): string | undefined {
  if (typeof text !== "string" || text === "") return undefined;
  return Buffer.byteLength(text) <= SHORT_STRING_MAX ? text : undefined;
}
