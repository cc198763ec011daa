import type { ByteBudget } from "./byte-budget.ts";

/** How a consumer consumes at this moment. */
export interface Consumption {
  /** Number of queues. */
  queues: number;
  /** Number of queues that are consumed: 0 while the consumer is paused. */
  consuming: number;
  /** Most unsettled messages of each queue. */
  prefetch: number;
  /** Whether the consumer is paused because the byte budget is used up. */
  isFull: boolean;
}

/** Returns the share of one queue in a budget of messages: at least one message. */
export function shareOf(budget: number, queues: number): number {
  return Math.max(1, Math.floor(budget / queues));
}

/**
 * Whether a consumer should consume again with another prefetch. Because a change needs four commands to the broker, small
 * differences do not count. `share`: the most messages of one queue.
 *
 * | the consumer                | another prefetch is due when                                                     |
 * | --------------------------- | -------------------------------------------------------------------------------- |
 * | is paused by a full budget  | half of the bytes are free                                                       |
 * | changes at this moment      | never                                                                            |
 * | consumes                    | the bytes are used up                                                            |
 * | consumes                    | its prefetch is more than twice the number of messages that fit an empty budget  |
 * | consumes                    | half of the bytes are free, and twice its prefetch fits, or the whole share      |
 */
export function isPrefetchOff(now: Consumption, bytes: ByteBudget, share: number): boolean {
  const { queues, consuming, prefetch, isFull } = now;
  if (isFull) return bytes.isHalfFree;
  if (consuming < queues) return false;
  if (bytes.isFull || prefetch > 2 * bytes.fitsAtMost(queues, share)) return true;
  const fits = bytes.fits(queues, share);
  const isRise = fits > prefetch && (fits >= 2 * prefetch || fits === share);
  return isRise && bytes.isHalfFree;
}
