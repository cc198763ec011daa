import type { Trouble } from "./classify.ts";

/** The pauses double up to so many of the first: a relay that is back is noticed within the last one. */
const PAUSES_MAX = 4;
/** A relay that asks us to slow down is left alone for longer. */
const PAUSES_MAX_THROTTLED = 10;

/** Options of {@link Circuit}. */
export interface CircuitOptions {
  /** The first pause before a probe. */
  pauseMs: number;
  /** Aborts when there is to be no further probe. */
  ending: AbortSignal;
  /** Tries the relay; resolves to its trouble, or to undefined. */
  probe: () => Promise<Trouble | undefined>;
  /** Called when it opens, with the reason, and when it closes. */
  onSwitch: (reason?: string) => void;
  /** Called when a probe succeeded: one mail may {@link Circuit.enter}, and its fate says whether the circuit closes. */
  onTurn: () => void;
}

/** Per relay: closed while it works; open from its first trouble until a mail went through. */
export class Circuit {
  readonly #options: CircuitOptions;
  #trouble: Trouble | undefined;
  #turn = false;
  #pause: number;
  #closedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CircuitOptions) {
    this.#options = options;
    this.#pause = options.pauseMs;
  }

  /** Why it is open; undefined while it is closed. */
  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  /** Whether a mail may go to the relay: any while it is closed, one after each probe that succeeded while it is open. */
  get admits(): boolean {
    return this.#trouble === undefined || this.#turn;
  }

  /** A mail goes. Returns whether it is the one whose fate decides. */
  enter(): boolean {
    const decides = this.#turn;
    this.#turn = false;
    return decides;
  }

  /** Opens it, or says why it stays open. Returns whether it was closed. */
  open(trouble: Trouble): boolean {
    const wasClosed = this.#trouble === undefined;
    this.#trouble = trouble;
    if (!wasClosed) return false;
    // Trouble that comes back sooner than the last pause was long goes on where that one ended.
    if (performance.now() - this.#closedAt > this.#pause) this.#pause = this.#options.pauseMs;
    this.#probeLater(trouble);
    this.#options.onSwitch(trouble.reason);
    return true;
  }

  /** Closes it: mail flows. */
  close(): void {
    if (this.#trouble === undefined) return;
    clearTimeout(this.#timer);
    this.#trouble = undefined;
    this.#turn = false;
    this.#closedAt = performance.now();
    this.#options.onSwitch();
  }

  /** n.b. a probe that a stalling relay leaves without an answer does not put off the next. */
  #probeLater({ throttled }: Trouble): void {
    const longest = this.#options.pauseMs * (throttled ? PAUSES_MAX_THROTTLED : PAUSES_MAX);
    const pause = Math.min(this.#pause, longest);
    this.#pause = Math.min(pause * 2, longest);
    this.#timer = setTimeout(() => {
      if (!this.#trouble || this.#options.ending.aborted) return;
      this.#probeLater(this.#trouble);
      void this.#probe();
    }, pause).unref();
  }

  async #probe(): Promise<void> {
    const trouble = await this.#options.probe();
    if (this.#trouble === undefined) return;
    this.#trouble = trouble ?? this.#trouble;
    if (trouble) return;
    this.#turn = true;
    this.#options.onTurn();
    // Nobody waits that could take it.
    if (this.enter()) this.close();
  }
}
