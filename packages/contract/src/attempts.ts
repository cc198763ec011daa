import { isAttemptQueue } from "./ladder.ts";
import { EMAILER_QUEUE } from "./topology.ts";

/** The header of a message of which another copy may exist. */
export const MAYBE_DUPLICATE = "x-maybe-duplicate";

/** The header of a parked email that was never split: the message stands for the deliveries to all its recipients. */
export const PARKED_WHOLE = "x-parked-whole";

/** A message with the counts that the broker keeps in its headers. */
export interface Counted {
  headers: Readonly<Record<string, unknown>>;
  /** For example `3.10.8`. */
  brokerVersion: string;
}

/**
 * Returns the number of this attempt, 1 for the first: one more than the rejections in any queue of the emailer. So the
 * numbers stay unique when the schedule changes. The broker counts rejections, not time, so an outage of a relay uses no
 * attempt.
 */
export function attemptOf({ headers }: Pick<Counted, "headers">): number {
  return 1 + rejections(headers, (queue) => queue === EMAILER_QUEUE || isAttemptQueue(queue));
}

/**
 * Returns how often a consumer crashed or lost its connection while it had this message. From RabbitMQ 4.0 on,
 * `x-delivery-count` stays with the message on the ladder and counts rejections too. Before, each queue counts from 0.
 */
export function crashesOf({ headers, brokerVersion }: Counted): number {
  const count = counted(headers["x-delivery-count"]);
  const includesRejections = Number.parseInt(brokerVersion, 10) >= 4;
  return Math.max(0, includesRejections ? count - rejections(headers) : count);
}

/** Sums the rejections in `x-death` that happened in the chosen queues. */
function rejections(
  headers: Counted["headers"],
  isChosen: (queue: string) => boolean = () => true,
) {
  const deaths: unknown[] = Array.isArray(headers["x-death"]) ? headers["x-death"] : [];
  return deaths
    .filter((death) => typeof death === "object" && death !== null)
    .map((death) => death as Record<string, unknown>)
    .filter(({ reason, queue: left }) => reason === "rejected" && isChosen(String(left)))
    .reduce((sum, { count }) => sum + counted(count), 0);
}

/** Reads a count. The headers of a first delivery are set by its publisher, so the value may be anything. */
function counted(count: unknown): number {
  return typeof count === "number" && count > 0 ? count : 0;
}
