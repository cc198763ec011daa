import type { Delivery, Publisher } from "@posthorn/chassis";
import { PARKED_QUEUE, type Reason } from "@posthorn/contract";

/** Headers of a parked message that the broker wrote on its way here and would misread later. */
const BROKERS_OWN = /^x-(death|first-death|last-death|delivery-count|acquired-count)/;

/**
 * Puts a copy of the message into the store of parked ones, under its delivery id and with the reason,
 * and waits for the confirm.
 */
export async function park(
  messageId: string,
  reason: Reason,
  detail: string,
  delivery: Delivery,
  publisher: Publisher,
): Promise<void> {
  const headers: Record<string, unknown> = delivery.properties.headers ?? {};
  const type: unknown = delivery.properties.type;
  const kept = Object.entries(headers).filter(([name]) => !BROKERS_OWN.test(name));
  const publication = {
    exchange: "",
    routingKey: PARKED_QUEUE,
    messageId,
    type: typeof type === "string" ? type : undefined,
    headers: {
      ...Object.fromEntries(kept),
      "x-parked-reason": reason,
      "x-parked-detail": detail.slice(0, 1_000),
    },
    body: delivery.body,
  };
  await publisher.publishUntilConfirmed(publication, delivery.signal);
}
