/** A transfer that takes longer than this is announced, in milliseconds; a faster one costs no message. */
const SLOW_MS = 1_000;

interface Transfer {
  /** When a relay admitted the mail, by the monotonic clock in milliseconds; undefined while it waits for one. */
  begunAt?: number;
}

/**
 * The deliveries that this emailer has between the first question about them and their confirmed outcome.
 *
 * | state     | event                    | then      |
 * | --------- | ------------------------ | --------- |
 * | none      | `enter`                  | waiting   |
 * | waiting   | `enter` of another copy  | refused   |
 * | waiting   | `begin`: a relay admits  | in flight |
 * | in flight | `enter` of another copy  | refused   |
 * | any       | `leave`                  | none      |
 */
export class Transfers {
  readonly #transfers = new Map<string, Transfer>();
  readonly #now: () => number;
  #onLost: () => void = () => undefined;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Enters a delivery. Returns false if another copy of it is here. */
  enter(delivery: string): boolean {
    if (this.#transfers.has(delivery)) return false;
    this.#transfers.set(delivery, {});
    return true;
  }

  /** A relay has the mail from now on. `signal` aborts when the broker may deliver the message to another emailer. */
  begin(delivery: string, signal: AbortSignal): void {
    this.#transfers.set(delivery, { begunAt: this.#now() });
    if (signal.aborted) this.#onLost();
    else signal.addEventListener("abort", this.#lost, { once: true });
  }

  /** Removes a delivery. Returns whether a relay had its mail. */
  leave(delivery: string): boolean {
    const transfer = this.#transfers.get(delivery);
    this.#transfers.delete(delivery);
    return transfer?.begunAt !== undefined;
  }

  /** The deliveries whose mail a relay has, for longer than `leastMs`, a second by default. */
  inFlight(leastMs = SLOW_MS): string[] {
    const latest = this.#now() - leastMs;
    return [...this.#transfers]
      .filter(([, { begunAt }]) => begunAt !== undefined && begunAt <= latest)
      .map(([delivery]) => delivery);
  }

  /** Sets the function that is called when the broker may deliver messages in flight to another emailer. */
  onLost(callback: () => void): void {
    this.#onLost = callback;
  }

  /** One function for all transfers, so that a channel's signal has one listener, which goes with the signal. */
  readonly #lost = (): void => this.#onLost();
}
