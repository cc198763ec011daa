import type { Publisher } from "@posthorn/chassis";
import { EMAIL_TYPE, EMAILER_QUEUE, ENTRY_EXCHANGE, MAYBE_DUPLICATE } from "@posthorn/contract";
import {
  formatDeliveryId,
  recipientsOf,
  timeOfEmailId,
  traceOf,
  type Email,
} from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";

/**
 * Publishes one delivery for each recipient of an email, and waits for every confirm. The body stays whole;
 * the messageId, a delivery id, says whose it is. A transaction or a rung never carries two recipients' fates.
 * n.b. one at a time: fifty copies of a large body at once are no email's memory.
 */
export async function split(
  email: Email,
  attempt: Attempt,
  publisher: Pick<Publisher, "publishUntilConfirmed">,
): Promise<void> {
  const message = toMessage(email, attempt);
  for (const recipient of recipientsOf(email).keys()) {
    const messageId = formatDeliveryId({ ...attempt.id, recipient });
    const way = { exchange: ENTRY_EXCHANGE, routingKey: EMAILER_QUEUE };
    const { signal } = attempt.delivery;
    await publisher.publishUntilConfirmed({ ...message, ...way, messageId }, signal);
  }
}

/** An email as a message of ours. What comes of another one carries its trace (W3C Trace Context), and its doubt. */
export function toMessage(email: Email, { delivery, id, possibleDuplicate }: Attempt) {
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
