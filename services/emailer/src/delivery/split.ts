import type { Publication } from "@wellsent/amqp";
import {
  EMAILER_QUEUE,
  ENTRY_EXCHANGE,
  formatDeliveryId,
  recipientsOf,
  toEmailMessage,
  type Email,
} from "@wellsent/contract";
import type { Attempt } from "./attempt.ts";

/**
 * Makes one delivery for each recipient of an email, so that each has its own SMTP transaction and its own place on the
 * ladder. The body stays whole; the messageId, a delivery id, names the recipient.
 */
export function toDeliveries(email: Email, attempt: Attempt): Publication[] {
  const { id } = attempt;
  const route = { exchange: ENTRY_EXCHANGE, routingKey: EMAILER_QUEUE };
  const message = { ...messageOf(email, attempt), ...route };
  const ids = recipientsOf(email).map((_, recipient) => formatDeliveryId({ ...id, recipient }));
  return ids.map((messageId) => ({ ...message, messageId }));
}

/** Makes the message of an email again. It is marked if an earlier emailer may have published it. */
export function messageOf(email: Email, { delivery, id, possibleDuplicate }: Attempt) {
  const traceparent: unknown = delivery.properties.headers?.["traceparent"];
  return toEmailMessage(id.email, email, traceparent, possibleDuplicate);
}
