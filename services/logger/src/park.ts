import { randomUUID } from "node:crypto";
import type { Delivery, Publication } from "@posthorn/chassis";
import { LOGGER_PARKED_QUEUE } from "@posthorn/contract";

/** AMQP 0-9-1 §4.2.5.3: octets of a short string, which properties are. */
const SHORT_STRING_MAX = 255;

/** A malformed message as it goes to the logger's parked queue: as it came, with the reason. */
export function parked({ body, properties }: Delivery, reason: string): Publication {
  return {
    exchange: "",
    routingKey: LOGGER_PARKED_QUEUE,
    messageId: shortString(properties.messageId) ?? randomUUID(),
    type: shortString(properties.type),
    headers: { "x-parked-reason": reason },
    body,
  };
}

/**
 * A property of a message if it can be published again. One that came with bytes that are not UTF-8 has grown by
 * reading, and would be refused at every attempt.
 */
export function shortString(text: unknown): string | undefined {
  const fits =
    typeof text === "string" && text !== "" && Buffer.byteLength(text) <= SHORT_STRING_MAX;
  return fits ? text : undefined;
}
