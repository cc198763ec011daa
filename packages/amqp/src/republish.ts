import { randomUUID } from "node:crypto";
import type { Delivery } from "./delivery.ts";

/** AMQP 0-9-1 §4.2.5.3: most bytes of a short string. Properties are short strings. */
const SHORT_STRING_MAX = 255;
/** amqplib encodes at most 64 KiB of headers; a message from another client may have more. */
const HEADERS_MAX_BYTES = 16_384;
/** Headers that only brokers set. A broker misinterprets them if a publisher sets them. `CC` and `BCC` route copies. */
const BROKER_HEADERS = /^(x-(death|first-death|last-death|delivery-count|acquired-count)|B?CC$)/;

/** Returns a copy of a message for another queue, without the headers of brokers and without parts that cannot be published. */
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

/** amqplib reads some types of header values that it cannot write. */
function isPlain([name, value]: [string, unknown]): boolean {
  if (BROKER_HEADERS.test(name) || shortString(name) === undefined) return false;
  return ["string", "boolean"].includes(typeof value) || Number.isSafeInteger(value);
}

/**
 * Whether a publisher set headers of a message that only brokers set. `moved`: the exchange through which the broker
 * dead-letters messages to this queue. If such a message is rejected, a node of RabbitMQ 3.10 stops all dead-lettering.
 */
export function isForged(delivery: Delivery, moved: string): boolean {
  const { exchange, properties, redelivered } = delivery;
  const { headers = {} } = properties;
  const moves = headers["x-death"] !== undefined;
  const losses = Number(headers["x-delivery-count"] ?? 0) > 0 && !redelivered;
  return exchange !== moved && (moves || losses);
}

/**
 * Returns a property of a message if it can be published, otherwise `undefined`. A property with bytes that are not UTF-8
 * is longer after decoding, so it may no longer fit.
 */
export function shortString(text: unknown): string | undefined {
  if (typeof text !== "string" || text === "") return undefined;
  return Buffer.byteLength(text) <= SHORT_STRING_MAX ? text : undefined;
}
