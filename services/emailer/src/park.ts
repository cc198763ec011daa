import { copyOf, type Publisher, type Settlement } from "@posthorn/chassis";
import {
  formatDeliveryId,
  isEmailId,
  PARKED_QUEUE,
  PARKED_WHOLE,
  type Reason,
} from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import type { RecordOutcome, Told } from "./outcomes.ts";

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
  const copy = copyOf(attempt.delivery, PARKED_QUEUE);
  const whole = isEmailId(attempt.delivery.properties.messageId);
  const why = {
    "x-parked-reason": told.reason,
    "x-parked-detail": told.reply.slice(0, 1_000),
    ...(whole && { [PARKED_WHOLE]: true }),
  };
  const messageId = formatDeliveryId(attempt.id);
  const publication = { ...copy, messageId, headers: { ...copy.headers, ...why } };
  await publisher.publishUntilConfirmed(publication, attempt.delivery.signal);
  await record("email.parked", attempt, told);
  return "ack";
}
