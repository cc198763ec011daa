/** The assumed size of a body before the first one arrives. It is large, because a low estimate costs memory. */
const ASSUMED_BYTES = 1_048_576;
/** After this many smaller messages, the estimate falls by at most this factor. */
const FALL_FACTOR = 4;
const FALL_MESSAGES = 20;

/**
 * Limits the bytes of message bodies in flight. AMQP limits the number of messages only, so that number is calculated
 * from an estimate of their size. A larger message raises the estimate at once; smaller ones lower it step by step.
 */
export class ByteBudget {
  readonly #most: number;
  #inFlight = 0;
  #estimate = ASSUMED_BYTES;
  #seen = 0;
  #largestSeen = 1;

  /** `most`: the bytes of bodies in flight at which the budget is full. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The bytes of bodies in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether no more messages should be consumed. A single message may be larger than the whole budget. */
  get isFull(): boolean {
    return this.#inFlight >= this.#most;
  }

  /** Whether at least half of the budget is free. A paused consumer then consumes again. */
  get isHalfFree(): boolean {
    return this.#inFlight <= this.#most / 2;
  }

  /** Counts a body that has arrived. */
  add(bytes: number): void {
    this.#inFlight += bytes;
    this.#seen += 1;
    this.#largestSeen = Math.max(this.#largestSeen, bytes);
    if (this.#largestSeen > this.#estimate) {
      this.#setEstimate(this.#largestSeen);
    } else if (this.#seen >= FALL_MESSAGES) {
      this.#setEstimate(Math.max(this.#largestSeen, this.#estimate / FALL_FACTOR));
    }
  }

  /** Counts a body whose memory was released. */
  free(bytes: number): void {
    this.#inFlight -= bytes;
  }

  /** Returns how many messages of each queue fit into the free part of the budget: from 1 to `most`. */
  fits(queues: number, most: number): number {
    return this.#count(this.#most - this.#inFlight, queues, most);
  }

  /** Returns how many messages of each queue fit into the empty budget: from 1 to `most`. */
  fitsAtMost(queues: number, most: number): number {
    return this.#count(this.#most, queues, most);
  }

  #count(bytes: number, queues: number, most: number): number {
    return Math.max(1, Math.min(most, Math.floor(bytes / queues / this.#estimate)));
  }

  #setEstimate(bytes: number): void {
    this.#estimate = bytes;
    this.#seen = 0;
    this.#largestSeen = 1;
  }
}
