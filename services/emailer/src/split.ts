import type { Publication, Publisher } from "@posthorn/chassis";
import {
  EMAIL_TYPE,
  EMAILER_QUEUE,
  ENTRY_EXCHANGE,
  formatDeliveryId,
  MAYBE_DUPLICATE,
  recipientsOf,
  traceOf,
  type Email,
} from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";

const AT_A_TIME = 5;

/**
 * Publishes one delivery for each recipient of an email, and waits for every confirm. The body stays whole;
 * the messageId, a delivery id, says whose it is. A transaction or a rung never carries two recipients' fates.
 */
export async function split(email: Email, attempt: Attempt, publisher: Publisher): Promise<void> {
  const body = Buffer.from(JSON.stringify(email));
  const recipients = [...recipientsOf(email).keys()];
  // A few at a time: fifty copies of a large body at once are no email's memory.
  while (recipients.length > 0) {
    const few = recipients.splice(0, AT_A_TIME).map((recipient): Publication => ({
      exchange: ENTRY_EXCHANGE,
      routingKey: EMAILER_QUEUE,
      messageId: formatDeliveryId({ ...attempt.id, recipient }),
      type: EMAIL_TYPE,
      headers: inherited(attempt),
      ifAgain: { [MAYBE_DUPLICATE]: true },
      body,
    }));
    const { signal } = attempt.delivery;
    await Promise.all(few.map((each) => publisher.publishUntilConfirmed(each, signal)));
  }
}

/** What goes on with every message that comes of one: the trace (W3C Trace Context), and a doubt. */
export function inherited({ delivery, possibleDuplicate }: Attempt): Record<string, unknown> {
  return {
    ...traceOf(delivery.properties.headers?.["traceparent"]),
    ...(possibleDuplicate && { [MAYBE_DUPLICATE]: true }),
  };
}
