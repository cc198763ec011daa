import type { Delivery, Publication, Publisher } from "@posthorn/chassis";
import {
  EMAIL_TYPE,
  EMAILER_QUEUE,
  ENTRY_EXCHANGE,
  formatDeliveryId,
  MAYBE_DUPLICATE,
  recipientsOf,
  type Email,
} from "@posthorn/contract";

/**
 * Publishes one delivery for each recipient of an email, and waits for every confirm. The body stays whole;
 * the messageId, a delivery id, says whose it is. A transaction or a rung never carries two recipients' fates.
 */
export async function split(
  id: string,
  email: Email,
  delivery: Delivery,
  maybeDuplicate: boolean,
  publisher: Publisher,
): Promise<void> {
  const publications = recipientsOf(email).map((_, recipient): Publication => ({
    exchange: ENTRY_EXCHANGE,
    routingKey: EMAILER_QUEUE,
    messageId: formatDeliveryId({ email: id, recipient, generation: 0 }),
    type: EMAIL_TYPE,
    headers: maybeDuplicate ? { ...traced(delivery), [MAYBE_DUPLICATE]: true } : traced(delivery),
    body: Buffer.from(JSON.stringify(email)),
  }));
  await Promise.all(
    publications.map((publication) =>
      publisher.publishUntilConfirmed(publication, delivery.signal),
    ),
  );
}

/** The trace goes on with every message that comes of one (W3C Trace Context). */
export function traced({ properties }: Pick<Delivery, "properties">): Record<string, unknown> {
  const traceparent: unknown = properties.headers?.["traceparent"];
  return traceparent === undefined ? {} : { traceparent };
}
