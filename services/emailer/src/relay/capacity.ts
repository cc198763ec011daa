import type { Rate } from "./relay-url.ts";
import { RateLimit } from "./rate-limit.ts";
import { SlowWatch } from "./slow-watch.ts";
import type { Timeouts } from "./timeouts.ts";

/** A connection that the relay refused is not asked for again for this many first pauses of the circuit. */
const REFUSED_PAUSES = 10;

/** The limits of a relay, and the functions that are called when its capacity changes. */
export interface CapacityOptions {
  /** The most mails in flight: each needs a connection. */
  connections: number;
  rate: Rate | undefined;
  timeouts: Pick<Timeouts, "pause" | "slow">;
  /** Called when there is a place or a token again. */
  onFree: () => void;
  /** Called when every place was taken for `timeouts.slow`, and when one is returned after that. */
  onSlow: (isSlow: boolean) => void;
}

/**
 * Decides how many mails a relay gets at a time. A mail needs a place, which is a connection, and a token of the rate. A probe
 * needs a place only.
 */
export class Capacity {
  readonly #pauseMs: number;
  readonly #rate: RateLimit;
  readonly #slow: SlowWatch;
  readonly #onFree: () => void;
  #places: number;

  constructor({ connections, rate, timeouts, onFree, onSlow }: CapacityOptions) {
    this.#places = connections;
    this.#pauseMs = timeouts.pause;
    this.#rate = new RateLimit(rate, onFree);
    this.#slow = new SlowWatch(timeouts.slow, onSlow);
    this.#onFree = onFree;
  }

  /** Whether every place was taken for some time. */
  get isSlow(): boolean {
    return this.#slow.isSlow;
  }

  /** Reserves a place and a token. Returns whether there were both. */
  take(): boolean {
    if (this.#places === 0 || !this.#rate.hasToken) return false;
    this.#places -= 1;
    this.#rate.take();
    if (this.#places === 0) this.#slow.start();
    return true;
  }

  /** Returns a place and its token. A token is used when a mail was begun with it. */
  giveBack(isTokenUsed: boolean): void {
    this.#rate.giveBack(isTokenUsed);
    this.#places += 1;
    this.#slow.stop();
    // Later in this tick, because the caller may open the circuit after this call.
    queueMicrotask(this.#onFree);
  }

  /** Returns an unused token, and its place after a pause: the relay refused a further connection. */
  withhold(): void {
    this.#rate.giveBack(false);
    const giveBack = () => {
      this.#places += 1;
      this.#onFree();
    };
    setTimeout(giveBack, this.#pauseMs * REFUSED_PAUSES).unref();
  }

  /** Runs a probe on a place. Resolves to `busy` when every place is taken. */
  async probe<Result>(run: () => Promise<Result>): Promise<Result | "busy"> {
    if (this.#places === 0) return "busy";
    this.#places -= 1;
    try {
      return await run();
    } finally {
      this.#places += 1;
    }
  }

  /** Stops the watch for a slow relay. */
  stop(): void {
    this.#slow.stop();
  }
}
