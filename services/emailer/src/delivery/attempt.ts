import type { Delivery } from "@wellsent/amqp";
import {
  adoptedId,
  attemptOf,
  crashesOf,
  digestOf,
  EMAILER_QUEUE,
  isOurs,
  MAYBE_DUPLICATE,
  parseDeliveryId,
  type DeliveryId,
} from "@wellsent/contract";

/**
 * Why the record is asked before a message is sent.
 * `none`: a first copy that no emailer had before.
 * `retry`: its earlier attempts should be recorded; a broker may have moved the message down the ladder twice.
 * `copy`: another emailer had this message, or another message of the same delivery was published a moment before.
 */
export type Doubt = "none" | "retry" | "copy";

/** One handling of a recipient's delivery. */
export interface Attempt {
  /** The message as the broker delivered it. */
  readonly delivery: Delivery;
  /** Of an email that is not split yet, its first recipient's; of a foreign message, a new one. */
  readonly id: DeliveryId;
  /** The broker's number of this handling, 1 for the first. A rejection without an attempt counts too. */
  readonly rung: number;
  /** The number of this attempt, 1 for the first: the broker's, until the record tells how many relays have answered. */
  number: number;
  /** How often an emailer crashed or lost its connection while it had this message. */
  readonly crashes: number;
  /** Whether its publisher did not know if the message was published before. */
  readonly isMarked: boolean;
  readonly doubt: Doubt;
  /** Whether the emailer that had the message before has had time to report. */
  isHeard: boolean;
  /** Whether this emailer was granted the lease of the delivery. */
  isLeased: boolean;
  /** Whether a relay may have accepted the mail before. */
  possibleDuplicate: boolean;
  /** Since when the mail may be sent, by the monotonic clock: since it was delivered, or since the record last agreed. */
  permittedAt: number;
}

/** Reads an attempt from a message. `isUntouched`: the emailer that had it last is this one, and gave it to no relay. */
export function toAttempt(delivery: Delivery, isUntouched = false): Attempt {
  const { queue, properties, redelivered, brokerVersion } = delivery;
  const headers: Record<string, unknown> = properties.headers ?? {};
  const counted = { headers, brokerVersion };
  const crashes = crashesOf(counted);
  // A broker of 4.x marks every message from the ladder as redelivered, so only the count tells there.
  const isSeen = !isUntouched && (crashes > 0 || (redelivered && queue === EMAILER_QUEUE));
  const isMarked = headers[MAYBE_DUPLICATE] === true;
  const rung = attemptOf(counted);
  return {
    delivery,
    id: idOf(delivery),
    rung,
    number: rung,
    crashes,
    isMarked,
    doubt: doubtOf(rung, isSeen, isMarked),
    isHeard: false,
    isLeased: false,
    possibleDuplicate: isSeen || isMarked,
    permittedAt: performance.now(),
  };
}

/** A marked message stays in doubt on every rung: it may have gone down untried, while its first copy waited in an emailer. */
function doubtOf(rung: number, isSeen: boolean, isMarked: boolean): Doubt {
  if (isSeen || isMarked) return "copy";
  return rung > 1 ? "retry" : "none";
}

function idOf(delivery: Delivery): DeliveryId {
  const { properties } = delivery;
  const messageId: unknown = isOurs(properties)
    ? properties.messageId
    : adoptedId(digestOf(delivery), Date.now());
  return parseDeliveryId(messageId) ?? { email: String(messageId), recipient: 0, generation: 0 };
}
