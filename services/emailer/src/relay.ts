import { setTimeout as sleep } from "node:timers/promises";
import type { Check, Log } from "@posthorn/chassis";
import { Circuit } from "./circuit.ts";
import { classify, explain, isOfOneMail, isStall, toTrouble } from "./classify.ts";
import type { Fault, Trouble, Verdict } from "./classify.ts";
import type { Mail } from "./mail.ts";
import { createMailTransport, type MailTransport, type RelayOptions } from "./mail-transport.ts";
import type { EmailerMetrics } from "./metrics.ts";
import type { Patience } from "./patience.ts";

/** A mail that breaks the connection this often, while others pass, is the message's trouble. */
const BREAKS_MAX = 3;
/** No clock is trusted with a relay's limit to the millisecond. */
const RATE_MARGIN_MS = 10;
/** What is told of a relay that has every place taken and leaves them all without an answer. */
const SILENT: Fault = { code: "ETIMEDOUT", command: "all places", begun: false, bodyRead: false };

/** What became of a mail at a relay; the relay's own trouble is waited out and never seen here. */
export interface Result {
  verdict: "sent" | Exclude<Verdict, "relay">;
  reply: string;
  /** The name of the relay that answered. */
  relay: string;
}

/** At most so many mails in any period of so many milliseconds. */
export interface Rate {
  mails: number;
  periodMs: number;
}

/** One relay, as it was configured. */
export interface RelayConfig extends RelayOptions {
  /** Host and port. */
  name: string;
  /** Without it there is no limit. */
  rate?: Rate | undefined;
}

/** A mail on its way to a relay, and what it met. */
export interface Passage {
  mail: Mail;
  /** Aborts when nobody waits for it any more. */
  signal: AbortSignal;
  /** Whether it went again at once after its connection was lost: one that was kept open may have been lost long before. */
  again: boolean;
  /** How often a relay left it without an answer. */
  stalls: number;
  /** How often it broke a connection, less those that were not its doing. */
  breaks: number;
  /** The relay whose circuit it opened by that. */
  opened?: Relay;
}

/**
 * Hands a mail over. Resolves to nothing when that told nothing of the mail: it is to go again, here or elsewhere.
 * n.b. a place and a token are kept for it, so it must be called.
 */
export type Hand = (passage: Passage) => Promise<Result | undefined>;

/** What every relay needs. */
export interface RelayContext {
  patience: Patience;
  /** Aborts when there is nothing more to send. */
  ending: AbortSignal;
  /** Whether mail would go to another relay. */
  isOtherWell: (relay: Relay) => boolean;
  /** Called when it may {@link Relay.enter} again, and when its circuit opens or closes. */
  onChange: () => void;
  metrics: Pick<EmailerMetrics, "authRefused" | "circuitOpen" | "sendSeconds">;
  log: Log;
}

/** An SMTP server that mail is handed to, with its circuit and its limits. */
export class Relay {
  readonly circuit: Circuit;
  readonly #config: RelayConfig;
  readonly #context: RelayContext;
  readonly #transport: MailTransport;
  #tokens: number;
  #places: { free: number };
  #watch: NodeJS.Timeout | undefined;
  #taken = 0;
  /** Who broke a connection since a mail was taken: one, or two for several. */
  readonly #breakers = new Set<Passage>();

  constructor(config: RelayConfig, context: RelayContext) {
    this.#config = config;
    this.#context = context;
    this.#transport = createMailTransport(config, context.patience.final);
    this.#tokens = config.rate?.mails ?? Infinity;
    this.#places = { free: config.connections };
    this.circuit = new Circuit({
      pauseMs: context.patience.pause,
      ending: context.ending,
      probe: () => this.#probe(),
      onSwitch: (reason) => this.#switched(reason),
      onTurn: context.onChange,
    });
    context.metrics.circuitOpen.set({ relay: config.name }, 0);
    context.metrics.authRefused.set({ relay: config.name }, 0);
  }

  /** Names its trouble; waiting for it is no unreadiness. */
  readonly check: Check = () => {
    const { reason } = this.circuit;
    if (reason === undefined) return undefined;
    return { reason: `relay ${this.#config.name}: ${reason}`, blocks: false };
  };

  /** Closes its connections. */
  close(): void {
    this.#transport.close();
  }

  /** Keeps a place and a token for a mail that the circuit admits, if there are. */
  enter(): Hand | undefined {
    const places = this.#places;
    if (places.free === 0) this.#watchPlaces();
    if (places.free === 0 || this.#tokens === 0) return undefined;
    const decides = this.circuit.enter();
    places.free -= 1;
    this.#tokens -= 1;
    return (passage) => this.#hand(passage, decides, places);
  }

  /** A mail waits for a place: when nobody leaves one in time, the relay is in trouble. */
  #watchPlaces(): void {
    const patience = this.#patienceFor({ stalls: 0 }, false);
    this.#watch ??= setTimeout(() => this.#open(SILENT), patience).unref();
  }

  async #hand(passage: Passage, decides: boolean, places: { free: number }) {
    const before = this.#taken;
    const stop = this.#context.metrics.sendSeconds.startTimer({ relay: this.#config.name });
    const patience = this.#patienceFor(passage, decides);
    const sent = await this.#transport.send(passage.mail, patience, passage.signal);
    stop();
    this.#giveBack(places, sent !== undefined && (sent.taken || sent.fault.begun));
    if (sent === undefined) return undefined;
    if (!sent.taken) return this.#judge(sent.fault, passage, decides, before);
    this.#taken += 1;
    this.#breakers.clear();
    if (decides) this.circuit.close();
    return this.#result("sent", sent.reply);
  }

  /** How long a mail waits for the relay this time. `decides`: others wait for how it fares. */
  #patienceFor({ stalls }: Pick<Passage, "stalls">, decides: boolean): number {
    const { alone, hasty } = this.#context.patience;
    if (decides) return alone[0];
    const isHasty = stalls === 0 && this.#context.isOtherWell(this);
    return isHasty ? hasty : (alone[stalls] ?? Math.max(...alone));
  }

  /**
   * n.b. a used token comes back a period after the relay's answer. So no period at the relay ever sees more than the rate,
   * however long a mail was on its way; a bucket that fills by itself would let a delayed one and the next meet.
   */
  #giveBack(places: { free: number }, isTokenUsed: boolean): void {
    const { rate } = this.#config;
    const giveToken = () => {
      this.#tokens += 1;
      // n.b. not at once: what became of the mail may open the circuit.
      queueMicrotask(this.#context.onChange);
    };
    if (rate && isTokenUsed) setTimeout(giveToken, rate.periodMs + RATE_MARGIN_MS).unref();
    else giveToken();
    places.free += 1;
    this.#stopWatch();
    queueMicrotask(this.#context.onChange);
  }

  async #judge(fault: Fault, passage: Passage, decides: boolean, before: number) {
    const verdict = classify(fault);
    if (verdict !== "relay") {
      if (toTrouble(fault).throttled && this.#taken === before) this.#open(fault);
      else if (decides) this.circuit.close();
      return this.#result(verdict, explain(fault));
    }
    if (isOfOneMail(fault)) return this.#judgeBreak(fault, passage, decides, before);
    this.#open(fault);
    return undefined;
  }

  /** It was the mail: others pass; or it alone broke this relay, and opened another one's circuit before. */
  async #judgeBreak(fault: Fault, passage: Passage, decides: boolean, before: number) {
    if (isStall(fault)) passage.stalls += 1;
    else if (fault.responseCode === undefined && !passage.again && !decides) {
      passage.again = true;
      return undefined;
    }
    if (this.#breakers.size < 2) this.#breakers.add(passage);
    await sleep(this.#context.patience.pause / 2);
    const isAlone = this.#breakers.size === 1 && this.#breakers.has(passage);
    const brokeAnother = passage.opened !== undefined && passage.opened !== this;
    const isGuilty = this.#taken > before || (isAlone && brokeAnother);
    if (isGuilty) passage.breaks += 1;
    // Connecting and the password were well, and one mail that breaks off tells no more: let the others tell.
    if (decides) this.circuit.close();
    else if (!isGuilty && this.#open(fault)) passage.opened ??= this;
    return passage.breaks < BREAKS_MAX ? undefined : this.#result("deferred", explain(fault));
  }

  #result(verdict: Result["verdict"], reply: string): Result {
    return { verdict, reply, relay: this.#config.name };
  }

  /** n.b. no mail is let in meanwhile, so there is a connection to spare. */
  async #probe(): Promise<Trouble | undefined> {
    const fault = await this.#transport.probe(this.#context.patience.alone[0]);
    return fault && this.#noteTrouble(fault);
  }

  #noteTrouble(fault: Fault): Trouble {
    const trouble = toTrouble(fault);
    const refused = trouble.authRefused ? 1 : 0;
    this.#context.metrics.authRefused.set({ relay: this.#config.name }, refused);
    return trouble;
  }

  /** Opens the circuit, or says why it stays open. Returns whether it was closed. */
  #open(fault: Fault): boolean {
    if (!this.circuit.open(this.#noteTrouble(fault))) return false;
    this.#stopWatch();
    // What a stalling relay holds shall not keep others from their places when it is back.
    if (isStall(fault)) this.#places = { free: this.#config.connections };
    this.#transport.renew();
    return true;
  }

  #stopWatch(): void {
    clearTimeout(this.#watch);
    this.#watch = undefined;
  }

  #switched(reason?: string): void {
    const { metrics, log, onChange } = this.#context;
    const { name: relay } = this.#config;
    metrics.circuitOpen.set({ relay }, reason ? 1 : 0);
    if (!reason) metrics.authRefused.set({ relay }, 0);
    if (reason) log.warn("relay in trouble: no mail goes to it", { relay, reason });
    else log.info("relay is well again", { relay });
    onChange();
  }
}
