import type { Trouble } from "./classify.ts";

/** A pause before a probe is up to this many times the first one: a relay that is back is found within it. */
const PAUSES_MAX = 4;
/** The same, for a relay that asks us to slow down. */
const PAUSES_MAX_THROTTLED = 10;

/** The states of a {@link Circuit}. */
export type State = "closed" | "open" | "half-open" | "trial";

/** What opened a circuit. */
export interface Opening extends Trouble {
  /** Whether a mail met it, so that only a mail can show that it is over. */
  byMail: boolean;
}

/** What a circuit needs. */
export interface CircuitOptions {
  /** The first pause before a probe, in milliseconds. */
  pauseMs: number;
  /** Aborts when there is to be no further probe. */
  ending: AbortSignal;
  /** Connects to the relay, or fails; resolves to its trouble, or to nothing. */
  probe: () => Promise<Trouble | undefined>;
  /** Called when it opens, with the reason, and when it closes. */
  onSwitch: (reason?: string) => void;
  /** Called when it becomes half-open: one mail may be sent. */
  onHalfOpen: () => void;
}

/**
 * A relay's circuit: whether mail is sent to the relay.
 *
 * | state     | mails that may enter | event                                        | next state |
 * | --------- | -------------------- | -------------------------------------------- | ---------- |
 * | closed    | all                  | the relay is down                            | open       |
 * | open      | none                 | a pause is over: probe fails                 | open, with a pause up to twice as long |
 * | open      | none                 | probe succeeds, no mail had opened it        | closed     |
 * | open      | none                 | probe succeeds, a mail had opened it         | half-open  |
 * | half-open | one                  | a mail enters                                | trial      |
 * | trial     | none                 | the relay takes or refuses that mail         | closed     |
 * | trial     | none                 | that mail meets the relay's trouble          | open       |
 * | trial     | none                 | that mail tells nothing, or was not sent     | half-open  |
 *
 * Trouble that other mails meet meanwhile changes the reason, and of half-open makes open.
 */
export class Circuit {
  readonly #options: CircuitOptions;
  #state: State = "closed";
  #opening: Opening | undefined;
  #pause: number;
  #closedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CircuitOptions) {
    this.#options = options;
    this.#pause = options.pauseMs;
  }

  /** The state. */
  get state(): State {
    return this.#state;
  }

  /** Why it is not closed; undefined while it is. */
  get trouble(): Trouble | undefined {
    return this.#opening;
  }

  /** Whether {@link enter} may be called. */
  get admits(): boolean {
    return this.#state === "closed" || this.#state === "half-open";
  }

  /** A mail is sent. Returns whether it is the trial. */
  enter(): boolean {
    const isTrial = this.#state === "half-open";
    if (isTrial) this.#state = "trial";
    return isTrial;
  }

  /** The relay is down. Returns whether it was closed. */
  open(opening: Opening, isTrial: boolean): boolean {
    const wasClosed = this.#state === "closed";
    const byMail = opening.byMail || (this.#opening?.byMail ?? false);
    this.#opening = { ...opening, byMail };
    // The trial alone decides while it is under way.
    if (this.#state === "trial" && !isTrial) return false;
    const isProbed = this.#state === "open";
    this.#state = "open";
    // Trouble that comes back sooner than the last pause was long goes on where that one ended.
    if (wasClosed && performance.now() - this.#closedAt > this.#pause) {
      this.#pause = this.#options.pauseMs;
    }
    if (!isProbed) this.#probeLater();
    if (wasClosed) this.#options.onSwitch(opening.reason);
    return wasClosed;
  }

  /** The trial shows that the relay works. */
  close(): void {
    if (this.#state === "closed") return;
    clearTimeout(this.#timer);
    this.#state = "closed";
    this.#opening = undefined;
    this.#closedAt = performance.now();
    this.#options.onSwitch();
  }

  /** The trial told nothing: another mail may enter. */
  leave(): void {
    if (this.#state !== "trial") return;
    this.#state = "half-open";
    this.#options.onHalfOpen();
  }

  #probeLater(): void {
    const { pauseMs } = this.#options;
    const longest = pauseMs * (this.#opening?.throttled ? PAUSES_MAX_THROTTLED : PAUSES_MAX);
    const pause = Math.min(this.#pause, longest);
    this.#pause = Math.min(pause * 2, longest);
    const probe = () => {
      this.#probe().catch(() => this.#probeLater());
    };
    this.#timer = setTimeout(probe, pause).unref();
  }

  /** Never rejects: a probe that throws has failed. */
  async #probe(): Promise<void> {
    if (this.#options.ending.aborted) return;
    const failed = { reason: "the probe failed", throttled: false, authRefused: false };
    const trouble = await this.#options.probe().catch(() => failed);
    if (this.#state !== "open" || !this.#opening) return;
    if (trouble) {
      this.#opening = { ...trouble, byMail: this.#opening.byMail };
      this.#probeLater();
    } else if (this.#opening.byMail) {
      this.#state = "half-open";
      this.#options.onHalfOpen();
    } else {
      this.close();
    }
  }
}
