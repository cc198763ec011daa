import type { Check, Component } from "@wellsent/runtime";
import type { RelayConfig } from "../config.ts";
import type { Mail } from "../mail/mime.ts";
import { PATIENCE, type Hand, type RelayContext, type Result } from "./passage.ts";
import { Relay } from "./relay.ts";

/** Options of {@link Relays}. */
export interface RelaysOptions extends Pick<RelayContext, "ending" | "metrics" | "log"> {
  /** In order of preference. */
  relays: readonly RelayConfig[];
  patience?: typeof PATIENCE;
  /** Called when every relay is in trouble, and when one is well again; both at once, for as many mails again to come. */
  onTrouble: () => void;
  onWell: () => void;
  /** Called when mails have been held for too long. */
  onHeldTooLong: () => void;
}

/** The relays: each mail goes to the first that is well, as soon as there is a place and a token. They connect for it. */
export class Relays implements Component {
  readonly name = "relays";
  readonly #options: RelaysOptions;
  readonly #relays: readonly Relay[];
  /** The mails that wait, in the order of their coming. */
  readonly #waiting = new Set<(hand: Hand) => void>();
  readonly #patience: typeof PATIENCE;
  #oneIsWell = true;
  #holding: NodeJS.Timeout | undefined;

  constructor(options: RelaysOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
    const context: RelayContext = {
      ...options,
      patience: this.#patience,
      isOtherWell: (relay) => this.#relays.some((other) => other !== relay && isWell(other)),
      onChange: () => this.#changed(),
      onSilent: () => this.#askForMore(),
    };
    this.#relays = options.relays.map((relay) => new Relay(relay, context));
  }

  /** One for each relay. */
  get checks(): Check[] {
    return this.#relays.map((relay) => relay.check);
  }

  stop(): void {
    for (const relay of this.#relays) relay.close();
  }

  /**
   * Hands over a mail, waiting out the relays' own trouble.
   * @throws {Error} AbortError when the delivery's channel is lost, or the emailer stops, before it was handed over
   */
  async send(mail: Mail, signal: AbortSignal): Promise<Result> {
    const passage = { mail, signal, again: false, stalls: 0, breaks: 0 };
    for (;;) {
      const hand = await this.#turn(AbortSignal.any([signal, this.#options.ending]));
      const result = await hand(passage);
      if (result) return result;
    }
  }

  /** Waits for a relay that admits a mail. */
  async #turn(given: AbortSignal): Promise<Hand> {
    given.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Hand>();
    const giveUp = () => {
      this.#waiting.delete(resolve);
      reject(given.reason as Error);
    };
    given.addEventListener("abort", giveUp);
    this.#waiting.add(resolve);
    this.#letGo();
    return promise.finally(() => given.removeEventListener("abort", giveUp));
  }

  #letGo(): void {
    for (const go of this.#waiting) {
      const hand = this.#relays.find(({ circuit }) => circuit.admits)?.enter();
      if (!hand) return;
      this.#waiting.delete(go);
      go(hand);
    }
  }

  /** All that is in flight may wait at a relay that has gone silent, and another is well. */
  #askForMore(): void {
    if (!this.#oneIsWell || this.#waiting.size > 0) return;
    this.#options.onTrouble();
    this.#options.onWell();
  }

  #changed(): void {
    this.#letGo();
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
  return circuit.trouble === undefined;
}
