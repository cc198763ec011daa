import { EventEmitter, once } from "node:events";
import type { Check, Component } from "@posthorn/chassis";
import type { Passage } from "./blame.ts";
import type { Mail } from "./mail.ts";
import { PATIENCE, type Patience } from "./patience.ts";
import { Relay, type RelayConfig, type RelayDependencies, type Result } from "./relay.ts";

/** Options of {@link Relays}. */
export interface RelaysOptions extends Pick<RelayDependencies, "metrics" | "log"> {
  /** In order of preference. */
  relays: readonly RelayConfig[];
  patience?: Patience;
  /** Called when every relay is in trouble, and when one is well again. */
  onTrouble: () => void;
  onWell: () => void;
  /** Called when mails have been held for too long. */
  onHeldTooLong: () => void;
}

/** The relays: each mail goes to the first that is well. */
export class Relays implements Component {
  readonly name = "relays";
  readonly #options: RelaysOptions;
  readonly #relays: readonly Relay[];
  /** Emits `change`, and the mails that are held look again in the order of their coming. */
  readonly #held = new EventEmitter().setMaxListeners(0);
  readonly #ending = new AbortController();
  #oneIsWell = true;
  readonly #patience: Patience;
  #holding: NodeJS.Timeout | undefined;

  constructor(options: RelaysOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
    const onChange = () => this.#changed();
    const dependencies = { ...options, patience: this.#patience, onChange };
    this.#relays = options.relays.map((relay) => new Relay(relay, dependencies));
  }

  /** One for each relay. */
  get checks(): Check[] {
    return this.#relays.map((relay) => relay.check);
  }

  start(): void {
    // They connect when there is something to send.
  }

  stop(): void {
    for (const relay of this.#relays) relay.close();
  }

  /** Lets go of what waits for a relay to be well, or for its rate. */
  release(): void {
    this.#ending.abort();
    for (const relay of this.#relays) relay.release();
  }

  /**
   * Hands over a mail, waiting out the relays' own trouble.
   * @throws {Error} AbortError when the delivery's channel is lost, or the emailer stops, before it was handed over
   */
  async send(mail: Mail, signal: AbortSignal): Promise<Result> {
    const passage: Passage = { mail, signal, again: false, stalls: 0, breaks: 0, taken: new Map() };
    for (;;) {
      const relay = await this.#next(signal);
      const isHasty = this.#relays.some((other) => other !== relay && isWell(other));
      const result = await relay.hand(passage, isHasty);
      if (result) return result;
    }
  }

  /** Waits for a relay that admits a mail. */
  async #next(signal: AbortSignal): Promise<Relay> {
    for (;;) {
      signal.throwIfAborted();
      this.#ending.signal.throwIfAborted();
      const relay = this.#relays.find((each) => each.circuit.admits());
      if (relay) return relay;
      const either = AbortSignal.any([signal, this.#ending.signal]);
      await once(this.#held, "change", { signal: either });
    }
  }

  #changed(): void {
    this.#held.emit("change");
    const oneIsWell = this.#relays.some(isWell);
    if (oneIsWell === this.#oneIsWell) return;
    this.#oneIsWell = oneIsWell;
    clearTimeout(this.#holding);
    const { onTrouble, onWell, onHeldTooLong } = this.#options;
    if (oneIsWell) onWell();
    else {
      onTrouble();
      this.#holding = setTimeout(onHeldTooLong, this.#patience.held).unref();
    }
  }
}

function isWell({ circuit }: Relay): boolean {
  return circuit.reason === undefined;
}
