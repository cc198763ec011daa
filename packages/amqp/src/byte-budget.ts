/** The size of a message body before any was seen, in bytes: large, because a wrong guess costs memory. */
const ASSUMED_BYTES = 1_048_576;
/** The estimate falls, by this factor at most, after as many smaller messages. */
const FALL_FACTOR = 4;
const FALL_MESSAGES = 20;

/**
 * Bounds the bytes of message bodies in flight. AMQP counts messages only, so the number to ask for follows from the size of
 * recent messages: the estimate rises at once with a larger message, and falls after a row of smaller ones.
 */
export class ByteBudget {
  readonly #most: number;
  #inFlight = 0;
  #estimate = ASSUMED_BYTES;
  #seen = 0;
  #largestSeen = 1;

  /** `most`: the bytes of bodies that may be in flight before no more messages are asked for. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes of bodies in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether no more messages may be asked for. A single message may be larger than the whole budget. */
  get isFull(): boolean {
    return this.#inFlight >= this.#most;
  }

  /** Whether enough of a full budget is free to ask for messages again. */
  get isHalfFree(): boolean {
    return this.#inFlight <= this.#most / 2;
  }

  /** Counts a body that has arrived. */
  take(bytes: number): void {
    this.#inFlight += bytes;
    this.#seen += 1;
    this.#largestSeen = Math.max(this.#largestSeen, bytes);
    if (this.#largestSeen > this.#estimate) this.#setEstimate(this.#largestSeen);
    else if (this.#seen >= FALL_MESSAGES)
      this.#setEstimate(Math.max(this.#largestSeen, this.#estimate / FALL_FACTOR));
  }

  /** Counts a body that nobody holds any more. */
  free(bytes: number): void {
    this.#inFlight -= bytes;
  }

  /** How many messages of each of these queues fit into what is free: from 1 to `most`. */
  fits(queues: number, most: number): number {
    return this.#count(this.#most - this.#inFlight, queues, most);
  }

  /** How many messages of each of these queues fit into the empty budget: from 1 to `most`. */
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
