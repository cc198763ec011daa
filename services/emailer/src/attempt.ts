import type { Delivery } from "@posthorn/chassis";
import {
  attemptOf,
  crashesOf,
  EMAILER_QUEUE,
  MAYBE_DUPLICATE,
  type DeliveryId,
} from "@posthorn/contract";

/** What the broker tells of a delivery, in the emailer's words. */
export interface Attempt {
  /** 1 for the first. */
  number: number;
  /** How often an emailer died with it. */
  crashes: number;
  /** Whether the relay may have taken it before. */
  possibleDuplicate: boolean;
}

/** Reads an attempt off a delivery. `rungs` is the ladder's length. */
export function toAttempt(
  { queue, properties, redelivered, brokerVersion }: Delivery,
  rungs: number,
): Attempt {
  const headers: Record<string, unknown> = properties.headers ?? {};
  const counted = { queue, headers, brokerVersion };
  const crashes = crashesOf(counted);
  // Off the ladder a broker of 4.x marks every delivery as redelivered, so there only the count tells.
  const seen = crashes > 0 || (redelivered && queue === EMAILER_QUEUE);
  return {
    number: attemptOf(counted, rungs),
    crashes,
    possibleDuplicate: seen || headers[MAYBE_DUPLICATE] === true,
  };
}

/** The delivery of an email's only recipient, at its first sending. */
export function onlyDelivery(email: string): DeliveryId {
  return { email, recipient: 0, generation: 0 };
}
