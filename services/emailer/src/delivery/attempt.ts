import type { Delivery, Publication } from "@wellsent/amqp";
import {
  ADOPTED_EXCHANGE,
  EMAILER_QUEUE,
  ENTRY_EXCHANGE,
  toEmailMessage,
} from "@wellsent/contract";
import { attemptOf, crashesOf, isOurs, MAYBE_DUPLICATE, newEmailId } from "@wellsent/contract";
import { formatDeliveryId, parseDeliveryId, recipientsOf } from "@wellsent/contract";
import type { DeliveryId, Email } from "@wellsent/contract";

/** One handling of a recipient's delivery: what the broker tells of it, in the emailer's words. */
export type Attempt = ReturnType<typeof toAttempt>;

/** Reads an attempt off a delivery. */
export function toAttempt(delivery: Delivery) {
  const { queue, properties, redelivered, brokerVersion } = delivery;
  const headers: Record<string, unknown> = properties.headers ?? {};
  const counted = { headers, brokerVersion };
  const crashes = crashesOf(counted);
  // Off the ladder a broker of 4.x marks every delivery as redelivered, so there only the count tells.
  const seen = crashes > 0 || (redelivered && queue === EMAILER_QUEUE);
  const isMarked = headers[MAYBE_DUPLICATE] === true;
  return {
    /** As the broker handed it over. */
    delivery,
    /** Of an email not split yet, its first recipient's; of what came without an id of ours, a new one. */
    id: idOf(properties),
    /** 1 for the first. */
    number: attemptOf(counted),
    /** How often an emailer died with it. */
    crashes,
    /** Whether its publisher did not know if it was published before. */
    isMarked,
    /** Whether the relay may have taken it before. */
    possibleDuplicate: seen || isMarked,
  };
}

function idOf(properties: Delivery["properties"]): DeliveryId {
  const messageId: unknown = isOurs(properties) ? properties.messageId : newEmailId();
  return parseDeliveryId(messageId) ?? { email: String(messageId), recipient: 0, generation: 0 };
}

/** What came without an id of ours, under the one that it was given: for emailer and logger. */
export function toAdopted(email: Email, attempt: Attempt): Publication {
  const way = { exchange: ADOPTED_EXCHANGE, routingKey: "", messageId: attempt.id.email };
  return { ...messageOf(email, attempt), ...way };
}

/**
 * One delivery for each recipient of an email. The body stays whole; the messageId, a delivery id, says whose it is.
 * A transaction or a rung never carries two recipients' fates.
 */
export function toDeliveries(email: Email, attempt: Attempt): Publication[] {
  const way = { exchange: ENTRY_EXCHANGE, routingKey: EMAILER_QUEUE };
  const message = { ...messageOf(email, attempt), ...way };
  const { id } = attempt;
  const ids = recipientsOf(email).map((_, recipient) => formatDeliveryId({ ...id, recipient }));
  return ids.map((messageId) => ({ ...message, messageId }));
}

function messageOf(email: Email, { delivery, id, possibleDuplicate }: Attempt) {
  const traceparent: unknown = delivery.properties.headers?.["traceparent"];
  return toEmailMessage(id.email, email, traceparent, possibleDuplicate);
}
