import type { Publication } from "@posthorn/chassis";
import { formatDeliveryId, recipientsOf, timeOfEmailId, traceOf } from "@posthorn/contract";
import { ADOPTED_EXCHANGE, EMAILER_QUEUE, ENTRY_EXCHANGE } from "@posthorn/contract";
import { EMAIL_TYPE, MAYBE_DUPLICATE, type Email } from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";

/** What came without an id of ours, under the one that it was given: for emailer and logger. */
export function toAdopted(email: Email, attempt: Attempt): Publication {
  const way = { exchange: ADOPTED_EXCHANGE, routingKey: "", messageId: attempt.id.email };
  return { ...toMessage(email, attempt), ...way };
}

/**
 * One delivery for each recipient of an email. The body stays whole; the messageId, a delivery id, says whose it is.
 * A transaction or a rung never carries two recipients' fates.
 */
export function toDeliveries(email: Email, attempt: Attempt): Publication[] {
  const way = { exchange: ENTRY_EXCHANGE, routingKey: EMAILER_QUEUE };
  const message = { ...toMessage(email, attempt), ...way };
  const { id } = attempt;
  const ids = recipientsOf(email).map((_, recipient) => formatDeliveryId({ ...id, recipient }));
  return ids.map((messageId) => ({ ...message, messageId }));
}

/** An email as a message of ours. What comes of another one carries its trace (W3C Trace Context), and its doubt. */
function toMessage(email: Email, { delivery, id, possibleDuplicate }: Attempt) {
  return {
    type: EMAIL_TYPE,
    timestamp: timeOfEmailId(id.email),
    headers: {
      ...traceOf(delivery.properties.headers?.["traceparent"]),
      ...(possibleDuplicate && { [MAYBE_DUPLICATE]: true }),
    },
    ifAgain: { [MAYBE_DUPLICATE]: true },
    body: Buffer.from(JSON.stringify(email)),
  };
}
