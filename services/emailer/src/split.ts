import type { Publication, Publisher } from "@posthorn/chassis";
import {
  EMAIL_TYPE,
  EMAILER_QUEUE,
  ENTRY_EXCHANGE,
  formatDeliveryId,
  MAYBE_DUPLICATE,
  recipientsOf,
  type Email,
} from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";

/**
 * Publishes one delivery for each recipient of an email, and waits for every confirm. The body stays whole;
 * the messageId, a delivery id, says whose it is. A transaction or a rung never carries two recipients' fates.
 */
export async function split(email: Email, attempt: Attempt, publisher: Publisher): Promise<void> {
  const deliveries = recipientsOf(email).map((_, recipient): Publication => ({
    exchange: ENTRY_EXCHANGE,
    routingKey: EMAILER_QUEUE,
    messageId: formatDeliveryId({ ...attempt.id, recipient }),
    type: EMAIL_TYPE,
    headers: inherited(attempt),
    body: Buffer.from(JSON.stringify(email)),
  }));
  const { signal } = attempt.delivery;
  await Promise.all(deliveries.map((each) => publisher.publishUntilConfirmed(each, signal)));
}

/** What goes on with every message that comes of one: the trace (W3C Trace Context), and a doubt. */
export function inherited({ delivery, possibleDuplicate }: Attempt): Record<string, unknown> {
  const traceparent: unknown = delivery.properties.headers?.["traceparent"];
  return {
    ...(traceparent !== undefined && { traceparent }),
    ...(possibleDuplicate && { [MAYBE_DUPLICATE]: true }),
  };
}
