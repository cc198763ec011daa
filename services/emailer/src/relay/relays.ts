import type { Check, Component } from "@wellsent/runtime";
import type { RelayConfig } from "../config.ts";
import type { Mail } from "../mail/mime.ts";
import { PATIENCE, type Hand, type RelayContext } from "./passage.ts";
import type { SendOptions, SendResult } from "./passage.ts";
import { Relay } from "./relay.ts";

/** Options of {@link Relays}. */
export interface RelaysOptions extends Pick<RelayContext, "ending" | "metrics" | "log"> {
  /** In order of preference. */
  relays: readonly RelayConfig[];
  patience?: typeof PATIENCE;
  /** Called when every relay is in trouble, and when one is well again; both at once, for as many mails again to come. */
  onTrouble: () => void;
  onWell: () => void;
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
   * Sends a mail, waiting out the relays' own trouble. Resolves to `held` when no relay has admitted it in ten minutes.
   * @throws {Error} AbortError when `signal` aborts, or the emailer stops, before the final dot
   */
  async send(mail: Mail, { signal, admit }: SendOptions): Promise<SendResult> {
    const passage = { mail, signal, again: false, stalls: 0, breaks: 0 };
    let isAdmitted = false;
    for (;;) {
      const hand = await this.#turn(AbortSignal.any([signal, this.#options.ending]));
      if (!hand) return { verdict: "held" };
      isAdmitted ||= await admit().catch((error: unknown) => {
        hand.cancel();
        throw error;
      });
      if (!isAdmitted) {
        hand.cancel();
        return { verdict: "withdrawn" };
      }
      const result = await hand.send(passage);
      if (result) return result;
    }
  }

  /** Waits for a relay that admits a mail; resolves to nothing when none has in time. */
  async #turn(given: AbortSignal): Promise<Hand | undefined> {
    given.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Hand | undefined>();
    const giveUp = () => {
      this.#waiting.delete(resolve);
      reject(given.reason as Error);
    };
    const heldTooLong = setTimeout(() => {
      this.#waiting.delete(resolve);
      resolve(undefined);
    }, this.#patience.held).unref();
    given.addEventListener("abort", giveUp);
    this.#waiting.add(resolve);
    this.#letGo();
    return promise.finally(() => {
      clearTimeout(heldTooLong);
      given.removeEventListener("abort", giveUp);
    });
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
    if (oneIsWell) this.#options.onWell();
    else this.#options.onTrouble();
  }
}

function isWell({ circuit }: Relay): boolean {
  return circuit.trouble === undefined;
}
