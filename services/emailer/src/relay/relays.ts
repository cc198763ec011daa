import type { Check, Component } from "@wellsent/runtime";
import type { RelayConfig } from "../config.ts";
import type { Mail } from "../mail/mime.ts";
import { Relay } from "./relay.ts";
import type { RelayContext } from "./relay-context.ts";
import { TIMEOUTS, type Timeouts } from "./timeouts.ts";
import type { Place, Result, Transfer } from "./transfer.ts";

/** What {@link Relays} needs. */
export interface RelaysOptions extends Pick<RelayContext, "ending" | "metrics" | "log"> {
  /** In order of preference. */
  relays: readonly RelayConfig[];
  timeouts?: Timeouts;
  /** Called when no relay admits mail. */
  onDown: () => void;
  /** Called when one does again. Both are called in turn when more deliveries are wanted while a relay is slow. */
  onUp: () => void;
}

/** What the sender of a mail decides while it is sent. */
export interface SendOptions {
  /** Aborts when the delivery's channel is lost. Before the final dot the mail is broken off, after it the reply is waited for. */
  signal: AbortSignal;
  /**
   * Called each time a relay admits the mail, before anything is sent to that relay. False: do not send it; its place and
   * token are returned.
   */
  admit: () => Promise<boolean>;
}

/** What became of a mail: the relay's answer; or no relay admitted it in time, or `admit` withdrew it, and nothing was sent. */
export type SendResult = Result | { verdict: "held" } | { verdict: "withdrawn" };

/** A mail that waits for a place. */
interface Waiting {
  transfer: Transfer;
  go: (place: Place) => void;
}

/**
 * The relays. Each mail is sent to the first relay whose circuit admits it, as soon as there is a place and a token. While
 * that relay is slow, mails that wait are sent to the next one.
 */
export class Relays implements Component {
  readonly name = "relays";
  readonly #options: RelaysOptions;
  readonly #timeouts: Timeouts;
  readonly #relays: readonly Relay[];
  /** The mails that wait for a place, the one that waits longest first. */
  readonly #waiting = new Set<Waiting>();
  #isUp = true;
  #wasSlow = false;

  constructor(options: RelaysOptions) {
    this.#options = options;
    this.#timeouts = options.timeouts ?? TIMEOUTS;
    const context: RelayContext = {
      ...options,
      timeouts: this.#timeouts,
      hasAlternative: (name) => this.#relays.some((relay) => relay.name !== name && isReady(relay)),
      onChange: () => this.#changed(),
    };
    this.#relays = options.relays.map((relay) => new Relay(relay, context));
  }

  /** One for each relay. */
  get checks(): Check[] {
    return this.#relays.map((relay) => relay.check);
  }

  /** Ends every connection with QUIT. */
  async stop(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.close()));
  }

  /**
   * Sends a mail, waiting out the relays' own trouble. Resolves to `held` when it has to wait for a relay more than ten
   * minutes after it came, however often one admitted it meanwhile: the broker takes back a delivery after half an hour.
   * @throws {Error} AbortError when `signal` aborts before the final dot, or the emailer stops while it waits for a relay
   */
  async send(mail: Mail, { signal, admit }: SendOptions): Promise<SendResult> {
    const transfer: Transfer = { mail, signal, staleConnections: 0, breaks: 0, met: new Map() };
    const heldAt = performance.now() + this.#timeouts.held;
    const given = AbortSignal.any([signal, this.#options.ending]);
    for (;;) {
      const place = await this.#place(transfer, given, heldAt - performance.now());
      if (!place) return { verdict: "held" };
      if (!(await asks(admit, place))) {
        place.cancel();
        return { verdict: "withdrawn" };
      }
      const result = await place.send(transfer);
      if (result) return result;
    }
  }

  /** Waits for a relay that admits a mail. Resolves to nothing when none has in time. */
  async #place(transfer: Transfer, given: AbortSignal, ms: number): Promise<Place | undefined> {
    given.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Place | undefined>();
    // At once, so that no place is given to a mail that has stopped waiting.
    const waiting: Waiting = { transfer, go: resolve };
    const leave = () => this.#waiting.delete(waiting);
    const giveUp = () => {
      leave();
      reject(given.reason as Error);
    };
    const hold = () => {
      leave();
      resolve(undefined);
    };
    const held = setTimeout(hold, ms).unref();
    given.addEventListener("abort", giveUp);
    this.#waiting.add(waiting);
    this.#dispatch();
    try {
      return await promise;
    } finally {
      clearTimeout(held);
      given.removeEventListener("abort", giveUp);
    }
  }

  #dispatch(): void {
    while (this.#waiting.size > 0) {
      const place = this.#enter();
      const next = place && this.#next(place);
      if (!next) return;
      this.#waiting.delete(next);
      next.go(place);
    }
  }

  /** A trial is best made with a mail that has not met trouble itself. */
  #next({ isTrial }: Place): Waiting | undefined {
    const [first] = this.#waiting;
    return isTrial ? (this.#waiting.values().find(isFresh) ?? first) : first;
  }

  /** A relay without a free place is waited for, unless it is slow. */
  #enter(): Place | undefined {
    for (const relay of this.#relays) {
      if (!relay.circuit.admits) continue;
      const place = relay.enter();
      if (place || !relay.isSlow) return place;
    }
    return undefined;
  }

  #changed(): void {
    // Before the dispatch, because the half-open circuit's mail may be the one that waits.
    this.#updateFlow();
    this.#dispatch();
    this.#askForMore();
  }

  #updateFlow(): void {
    // A half-open circuit needs a mail: deliveries are consumed for it if none waits that could decide.
    const isHalfOpen = this.#relays.some(({ circuit }) => circuit.state === "half-open");
    const lacksMail = !this.#waiting.values().some(isFresh);
    const isUp = (isHalfOpen && lacksMail) || this.#relays.some(isClosed);
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    if (isUp) this.#options.onUp();
    else this.#options.onDown();
  }

  /** All deliveries in flight may wait at a slow relay while another one is ready: once, that many more are consumed. */
  #askForMore(): void {
    const isSlow = this.#relays.some((relay) => relay.isSlow && isClosed(relay));
    const isNews = isSlow && !this.#wasSlow;
    this.#wasSlow = isSlow;
    if (!isNews || this.#waiting.size > 0 || !this.#relays.some(isReady)) return;
    this.#options.onDown();
    this.#options.onUp();
  }
}

/** Whether the mail may be sent. Its place is returned if the answer fails. */
async function asks(admit: SendOptions["admit"], place: Place): Promise<boolean> {
  try {
    return await admit();
  } catch (error) {
    place.cancel();
    throw error;
  }
}

function isFresh({ transfer }: Waiting): boolean {
  return transfer.met.size === 0;
}

function isClosed({ circuit }: Relay): boolean {
  return circuit.trouble === undefined;
}

function isReady(relay: Relay): boolean {
  return isClosed(relay) && !relay.isSlow;
}
