import type { Delivery } from "@posthorn/chassis";
import { attemptOf, crashesOf, EMAILER_QUEUE, MAYBE_DUPLICATE } from "@posthorn/contract";
import { isOurs, newEmailId, parseDeliveryId, type DeliveryId } from "@posthorn/contract";

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
