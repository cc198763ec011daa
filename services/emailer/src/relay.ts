import { setTimeout as sleep } from "node:timers/promises";
import type { Check, Log } from "@posthorn/chassis";
import { Blame, type Passage } from "./blame.ts";
import { Circuit, type Trouble } from "./circuit.ts";
import {
  classify,
  explain,
  explainBriefly,
  isAuthRefused,
  isLost,
  isOfOneMail,
  isStall,
  isThrottled,
  type Fault,
  type Verdict,
} from "./classify.ts";
import { Gate } from "./gate.ts";
import {
  createMailTransport,
  type MailTransport,
  type RelayOptions,
  type Sent,
} from "./mail-transport.ts";
import type { EmailerMetrics } from "./metrics.ts";
import { patienceFor, type Patience } from "./patience.ts";

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

/** What every relay needs. */
export interface RelayDependencies {
  patience: Patience;
  /** Called when its circuit opens, lets one mail through, or closes. */
  onChange: () => void;
  metrics: Pick<EmailerMetrics, "authRefused" | "circuitOpen" | "sendSeconds">;
  log: Log;
}

/** An SMTP server that mail is handed to, with its circuit and its limits. */
export class Relay {
  /** A mail that it admits must be handed over. */
  readonly circuit: Circuit;
  readonly #config: RelayConfig;
  readonly #dependencies: RelayDependencies;
  readonly #transport: MailTransport;
  readonly #tokens: Gate;
  #places: Gate;
  readonly #blame = new Blame();

  constructor(config: RelayConfig, dependencies: RelayDependencies) {
    this.#config = config;
    this.#dependencies = dependencies;
    this.#transport = createMailTransport(config, dependencies.patience.final);
    this.#tokens = new Gate(config.rate?.mails ?? Infinity);
    this.#places = new Gate(config.connections);
    this.circuit = new Circuit({
      pauseMs: dependencies.patience.pause,
      probe: () => this.#probe(),
      onSwitch: (reason) => this.#switched(reason),
      onTurn: dependencies.onChange,
    });
    dependencies.metrics.circuitOpen.set({ relay: config.name }, 0);
    dependencies.metrics.authRefused.set({ relay: config.name }, 0);
  }

  /** Names its trouble; waiting for it is no unreadiness. */
  readonly check: Check = () => {
    const { reason } = this.circuit;
    if (reason === undefined) return undefined;
    return { reason: `relay ${this.#config.name}: ${reason}`, blocks: false };
  };

  /**
   * Hands a mail over once its turn comes. Resolves to nothing when that told nothing of the mail: it is to go again,
   * here or elsewhere. `isHasty`: another relay would take it.
   */
  async hand(passage: Passage, isHasty: boolean): Promise<Result | undefined> {
    const isProbe = this.circuit.reason !== undefined;
    const patience = patienceFor(passage, this.#dependencies.patience, { isProbe, isHasty });
    const sent = await this.#send(passage, patience);
    if (sent === undefined) return undefined;
    if (!sent.taken) return this.#judge(sent.fault, passage, isProbe);
    this.#blame.took();
    if (isProbe) this.circuit.close();
    return this.#result("sent", sent.reply);
  }

  /** Lets go of the mails that wait for a token; probes no more. */
  release(): void {
    this.circuit.end();
    this.#tokens.clear();
  }

  /** Closes its connections. */
  close(): void {
    this.#transport.close();
  }

  /**
   * n.b. a token comes back a period after the relay's answer. So no period at the relay ever sees more than the rate,
   * however long a mail was on its way; a bucket that fills by itself would let a delayed one and the next meet.
   */
  async #send(passage: Passage, patienceMs: number): Promise<Sent | undefined> {
    if (!(await this.#tokens.enter())) return undefined;
    const sent = await this.#sendAtPlace(passage, patienceMs);
    const { rate } = this.#config;
    const giveBack = () => this.#tokens.leave();
    if (!rate || !sent || !(sent.taken || sent.fault.begun)) giveBack();
    else setTimeout(giveBack, rate.periodMs + RATE_MARGIN_MS).unref();
    return sent;
  }

  async #sendAtPlace(passage: Passage, patienceMs: number): Promise<Sent | undefined> {
    const places = this.#places;
    const entered = await places.enterUnlessStuck(patienceMs);
    if (entered === undefined) return { taken: false, fault: SILENT };
    if (!entered) return undefined;
    const sent = passage.signal.aborted ? undefined : await this.#handOver(passage, patienceMs);
    places.leave();
    return sent;
  }

  async #handOver(passage: Passage, patienceMs: number): Promise<Sent | undefined> {
    this.#blame.begins(passage);
    const { sendSeconds } = this.#dependencies.metrics;
    const stop = sendSeconds.startTimer({ relay: this.#config.name });
    return this.#transport.send(passage.mail, patienceMs, passage.signal).finally(stop);
  }

  async #judge(fault: Fault, passage: Passage, isProbe: boolean): Promise<Result | undefined> {
    const verdict = classify(fault);
    if (verdict === "relay") return this.#judgeTrouble(fault, passage, isProbe);
    if (isThrottled(fault) && !this.#blame.othersPassed(passage)) this.#open(fault);
    else if (isProbe) this.circuit.close();
    return this.#result(verdict, explain(fault));
  }

  async #judgeTrouble(
    fault: Fault,
    passage: Passage,
    isProbe: boolean,
  ): Promise<Result | undefined> {
    if (isLost(fault) && !passage.again && !isProbe) {
      passage.again = true;
      passage.breaks = isOfOneMail(fault) ? 1 : 0;
      return undefined;
    }
    return isOfOneMail(fault) ? this.#judgeBreak(fault, passage, isProbe) : void this.#open(fault);
  }

  async #judgeBreak(fault: Fault, passage: Passage, isProbe: boolean): Promise<Result | undefined> {
    if (isStall(fault)) passage.stalls += 1;
    this.#blame.broke(passage);
    await sleep(this.#dependencies.patience.pause / 2);
    const blamed = this.#blame.isOf(passage);
    // Connecting and the password were well, and one mail that breaks off tells no more: let the others tell.
    if (isProbe) this.circuit.close();
    else if (!blamed && this.#open(fault)) passage.opened ??= this.#blame;
    const isGuilty = blamed && passage.breaks >= BREAKS_MAX;
    return isGuilty ? this.#result("deferred", explain(fault)) : undefined;
  }

  #result(verdict: Result["verdict"], reply: string): Result {
    return { verdict, reply, relay: this.#config.name };
  }

  async #probe(): Promise<Trouble | undefined> {
    const places = this.#places;
    const [patience] = this.#dependencies.patience.alone;
    if (!(await places.enterUnlessStuck(patience))) {
      if (places === this.#places) this.#renewPlaces();
      return this.#toTrouble(SILENT);
    }
    const fault = await this.#transport.probe(patience);
    places.leave();
    return fault && this.#toTrouble(fault);
  }

  #toTrouble(fault: Fault): Trouble {
    const refused = isAuthRefused(fault) ? 1 : 0;
    this.#dependencies.metrics.authRefused.set({ relay: this.#config.name }, refused);
    return { reason: explainBriefly(fault), throttled: isThrottled(fault) };
  }

  /** Opens the circuit, or says why it stays open. Resolves to whether it was closed. */
  #open(fault: Fault): boolean {
    if (!this.circuit.open(this.#toTrouble(fault))) return false;
    this.#tokens.clear();
    this.#places.clear();
    if (isStall(fault)) this.#renewPlaces();
    this.#transport.renew();
    return true;
  }

  /** What a stalling relay holds shall not keep others from their places when it is back. */
  #renewPlaces(): void {
    this.#places.clear();
    this.#places = new Gate(this.#config.connections);
  }

  #switched(reason?: string): void {
    const { metrics, log, onChange } = this.#dependencies;
    const { name: relay } = this.#config;
    metrics.circuitOpen.set({ relay }, reason ? 1 : 0);
    if (!reason) metrics.authRefused.set({ relay }, 0);
    if (reason) log.warn("relay in trouble: no mail goes to it", { relay, reason });
    else log.info("relay is well again", { relay });
    onChange();
  }
}
