import { setTimeout as sleep } from "node:timers/promises";

const FIRST_DELAY_MS = 1_000;
/** A relay that is back is noticed within this. */
const LAST_DELAY_MS = 5_000;
/** A relay that asks us to slow down is left alone for longer and longer, up to this. */
const LAST_THROTTLED_DELAY_MS = 60_000;

/** Options of {@link Circuit}. */
export interface CircuitOptions {
  /** Tries the relay; resolves to the reason that it is still in trouble, or to undefined. */
  probe: () => Promise<string | undefined>;
  onOpen: (reason: string) => void;
  onClose: () => void;
}

/** Per relay: closed while it works; open from its first trouble until a probe succeeds. */
export class Circuit {
  readonly #options: CircuitOptions;
  #reason: string | undefined;
  #closing: Promise<void> = Promise.resolve();
  #delay = FIRST_DELAY_MS;
  readonly #ending = new AbortController();

  constructor(options: CircuitOptions) {
    this.#options = options;
  }

  /** Why it is open; undefined while it is closed. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Opens it, unless it is open already. Throttled: the relay asked for less. */
  open(reason: string, throttled: boolean): void {
    if (this.#reason !== undefined || this.#ending.signal.aborted) return;
    this.#reason = reason;
    this.#options.onOpen(reason);
    this.#closing = this.#probeUntilWell(throttled ? LAST_THROTTLED_DELAY_MS : LAST_DELAY_MS);
    this.#closing.catch(() => undefined);
  }

  /** Resolves when it is closed. @throws {Error} AbortError when the emailer stops */
  async closed(): Promise<void> {
    while (this.#reason !== undefined) await this.#closing;
    this.#ending.signal.throwIfAborted();
  }

  /** A mail was taken: the next trouble starts with a short pause again. */
  succeeded(): void {
    this.#delay = FIRST_DELAY_MS;
  }

  /** Lets nobody wait any longer. */
  end(): void {
    this.#ending.abort();
  }

  async #probeUntilWell(longest: number): Promise<void> {
    const signal = this.#ending.signal;
    while (this.#reason !== undefined) {
      await sleep(Math.min(this.#delay, longest), undefined, { signal });
      this.#delay = Math.min(this.#delay * 2, longest);
      this.#reason = await this.#options.probe();
    }
    this.#options.onClose();
  }
}
