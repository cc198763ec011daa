import { shortString, type Publisher, type Settlement } from "@posthorn/chassis";
import { formatDeliveryId, PARKED_QUEUE, type Reason } from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import type { RecordOutcome, Told } from "./outcomes.ts";

/** Headers of a parked message that the broker wrote on its way here and would misread later. */
const BROKERS_OWN = /^x-(death|first-death|last-death|delivery-count|acquired-count)/;

/** What parking needs. */
export interface ParkOptions {
  publisher: Publisher;
  record: RecordOutcome;
}

/** Puts a copy of the message into the store of parked ones, under its delivery id and with the reason; records it. */
export async function park(
  attempt: Attempt,
  told: Told & { reason: Reason },
  { publisher, record }: ParkOptions,
): Promise<Settlement> {
  const { body, properties, signal } = attempt.delivery;
  const headers = Object.entries(properties.headers ?? {});
  const publication = {
    exchange: "",
    routingKey: PARKED_QUEUE,
    messageId: formatDeliveryId(attempt.id),
    type: shortString(properties.type),
    headers: {
      ...Object.fromEntries(headers.filter(([name]) => !BROKERS_OWN.test(name))),
      "x-parked-reason": told.reason,
      "x-parked-detail": told.reply.slice(0, 1_000),
    },
    body,
  };
  await publisher.publishUntilConfirmed(publication, signal);
  await record("email.parked", attempt, told);
  return "ack";
}
