import { setTimeout as sleep } from "node:timers/promises";
import type { Check } from "@wellsent/runtime";
import { createCircuit, type Circuit } from "./states.ts";
import { classify, explain, isOfOneMail, isStall, toTrouble } from "./classify.ts";
import type { Fault, Trouble } from "./classify.ts";
import type { RelayConfig } from "../config.ts";
import { RefusalWatch } from "./refusal-watch.ts";
import { createMailTransport, type MailTransport } from "./smtp-transport.ts";
import type { Hand, Passage, RelayContext, Result } from "./passage.ts";
import { createUnderWay, type UnderWay } from "./in-flight.ts";

/** A mail that breaks the connection this often, while others pass, is the message's trouble. */
const BREAKS_MAX = 3;
/** No clock is trusted with a relay's limit to the millisecond. */
const RATE_MARGIN_MS = 10;
/** What is told of a relay that leaves a mail without its final reply, while no other gets one. */
const SILENT: Fault = { code: "ETIMEDOUT", command: "", begun: true, bodyRead: true };

/** An SMTP server that mail is handed to, with its circuit and its limits. */
export class Relay {
  readonly circuit: Circuit;
  readonly #config: RelayConfig;
  readonly #context: RelayContext;
  readonly #transport: MailTransport;
  #tokens: number;
  /** Connections that it may have beyond those of mails and probes under way. */
  #places: number;
  readonly #underWay: UnderWay;
  readonly #refusals = new RefusalWatch();
  #taken = 0;
  /** Who broke a connection since a mail was taken: one, or two for several. */
  readonly #breakers = new Set<Passage>();

  constructor(config: RelayConfig, context: RelayContext) {
    this.#config = config;
    this.#context = context;
    this.#transport = createMailTransport(config, context.patience.final);
    this.#tokens = config.rate?.mails ?? Infinity;
    this.#places = config.connections;
    const fallSilent = () => this.#open(SILENT) && context.onSilent();
    this.#underWay = createUnderWay(this.#transport, context.patience, fallSilent);
    this.circuit = createCircuit({
      pauseMs: context.patience.pause,
      ending: context.ending,
      probe: () => this.#probe(),
      onSwitch: (reason) => this.#switched(reason),
      onTurn: context.onChange,
    });
    context.metrics.circuitOpen.set({ relay: config.name }, 0);
    context.metrics.authRefused.set({ relay: config.name }, 0);
    context.metrics.refusingAll.set({ relay: config.name }, 0);
  }

  /** Names its trouble; waiting for it is no unreadiness. */
  readonly check: Check = () => {
    const { trouble } = this.circuit;
    if (trouble === undefined) return undefined;
    return { reason: `relay ${this.#config.name}: ${trouble.reason}`, blocks: false };
  };

  /** Closes its connections. */
  close(): void {
    this.#transport.close();
  }

  /** Keeps a place and a token for a mail that the circuit admits, if there are. */
  enter(): Hand | undefined {
    if (this.#places === 0 || this.#tokens === 0) return undefined;
    const decides = this.circuit.enter();
    this.#places -= 1;
    this.#tokens -= 1;
    return {
      send: (passage) => this.#hand(passage, decides),
      cancel: () => {
        if (decides) this.circuit.leave();
        this.#giveBack(false);
      },
    };
  }

  async #hand(passage: Passage, decides: boolean) {
    const before = this.#taken;
    const stop = this.#context.metrics.sendSeconds.startTimer({ relay: this.#config.name });
    const sent = await this.#underWay.send(passage, this.#patienceFor(passage, decides));
    stop();
    this.#giveBack(sent !== undefined && (sent.taken || sent.fault.begun));
    if (sent === undefined) return undefined;
    if (!sent.taken) return this.#judge(sent.fault, passage, decides, before);
    this.#taken += 1;
    this.#refusals.noteTaken();
    this.#context.metrics.refusingAll.set({ relay: this.#config.name }, 0);
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
  #giveBack(isTokenUsed: boolean): void {
    const { rate } = this.#config;
    const giveToken = () => {
      this.#tokens += 1;
      this.#context.onChange();
    };
    if (rate && isTokenUsed) setTimeout(giveToken, rate.periodMs + RATE_MARGIN_MS).unref();
    else this.#tokens += 1;
    this.#places += 1;
    // n.b. not at once: what became of the mail may open the circuit.
    queueMicrotask(this.#context.onChange);
  }

  async #judge(fault: Fault, passage: Passage, decides: boolean, before: number) {
    const verdict = classify(fault);
    if (verdict !== "relay" && verdict !== "connection") {
      if (isRefusedForGood(fault, verdict) && this.#refusals.noteRefused(passage.mail.envelope.to))
        return this.#disbelieve(fault);
      if (decides && !this.#refusals.isTripped) this.circuit.close();
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

  /** Keeps a mail that was refused for good by a relay that refuses nearly all mail, and leaves that relay alone. */
  #disbelieve(fault: Fault): Result {
    const { reason, ...trouble } = this.#noteTrouble(fault);
    this.#openFor(fault, {
      ...trouble,
      reason: `refuses nearly all mail, the last with ${reason}`,
    });
    this.#context.metrics.refusingAll.set({ relay: this.#config.name }, 1);
    return { ...this.#result("deferred", explain(fault)), reason: "RELAY_REFUSES_ALL" };
  }

  #result(verdict: Result["verdict"], reply: string): Result {
    return { verdict, reply, relay: this.#config.name };
  }

  async #probe(): Promise<Trouble | undefined> {
    if (this.#places === 0) {
      if (!this.#context.isOtherWell(this)) this.#underWay.giveUpOldest();
      return this.circuit.trouble;
    }
    this.#places -= 1;
    const fault = await this.#transport.probe(this.#context.patience.alone[0]);
    this.#places += 1;
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
    return this.#openFor(fault, this.#noteTrouble(fault));
  }

  #openFor(fault: Fault, trouble: Trouble): boolean {
    if (!this.circuit.open(trouble)) return false;
    if (isStall(fault)) this.#underWay.takeBack();
    this.#transport.renew();
    return true;
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

/** Whether the relay refused the mail, or its sender, for good; not so what could not be sent at all. */
function isRefusedForGood({ response }: Fault, verdict: Result["verdict"]): boolean {
  return response !== undefined && (verdict === "failed" || verdict === "sender-refused");
}
