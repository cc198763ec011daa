import type { Check } from "@wellsent/runtime";
import type { RelayConfig } from "../config.ts";
import { explain, toTrouble, type Fault, type Trouble } from "./classify.ts";
import { Judge, type Case } from "./judge.ts";
import { RateLimit } from "./rate-limit.ts";
import type { RelayContext } from "./relay-context.ts";
import { SlowWatch } from "./slow-watch.ts";
import type { Sent } from "./smtp-fault.ts";
import { SmtpTransport } from "./smtp-transport.ts";
import { Circuit, type Opening } from "./states.ts";
import { withFailover, type Timeouts } from "./timeouts.ts";
import type { Place, Result, Transfer } from "./transfer.ts";

/** A relay that refuses a further connection is not asked for it again for this many first pauses. */
const REFUSED_PAUSES = 10;
/** RFC 5321 §3.8: the relay is closing the channel; at the greeting, it has too many connections. */
const CLOSING = 421;

/** An SMTP server that mail is handed to, with its circuit and its limits. */
export class Relay {
  readonly name: string;
  readonly circuit: Circuit;
  readonly #config: RelayConfig;
  readonly #context: RelayContext;
  readonly #transport: SmtpTransport;
  readonly #rate: RateLimit;
  readonly #judge: Judge;
  readonly #slow: SlowWatch;
  /** How many more mails and probes may be under way. */
  #places: number;

  constructor(config: RelayConfig, context: RelayContext) {
    const { timeouts, ending, onChange } = context;
    this.name = config.name;
    this.#config = config;
    this.#context = context;
    this.#transport = new SmtpTransport(config, timeouts);
    this.#rate = new RateLimit(config.rate, onChange);
    this.#judge = new Judge(config.name);
    this.#slow = new SlowWatch(timeouts.slow, (isSlow) => this.#slowChanged(isSlow));
    this.#places = config.connections;
    this.circuit = new Circuit({
      pauseMs: timeouts.pause,
      ending,
      probe: () => this.#probe(),
      onSwitch: (reason) => this.#switched(reason),
      onHalfOpen: onChange,
    });
    for (const gauge of ["circuitOpen", "authRefused", "refusingAll", "relaySlow"] as const) {
      this.#show(gauge, false);
    }
  }

  /** Names its trouble. Waiting for it is no unreadiness. */
  readonly check: Check = () => {
    const slow = this.isSlow ? "every connection waits for a reply" : undefined;
    const reason = this.circuit.trouble?.reason ?? slow;
    if (reason === undefined) return undefined;
    return { reason: `relay ${this.#config.name}: ${reason}`, blocks: false };
  };

  /** Whether each of its connections has waited for a reply for some time: mails that wait are sent to the next relay. */
  get isSlow(): boolean {
    return this.#slow.isSlow;
  }

  /** Ends its connections. */
  async close(): Promise<void> {
    this.#slow.stop();
    await this.#transport.close();
  }

  /** Reserves a place and a token for a mail that the circuit admits, if there are. */
  enter(): Place | undefined {
    if (this.#places === 0 || !this.#rate.hasToken) return undefined;
    const isTrial = this.circuit.enter();
    this.#places -= 1;
    this.#rate.take();
    if (this.#places === 0) this.#slow.start();
    return {
      isTrial,
      send: (transfer) => this.#send(transfer, isTrial),
      cancel: () => {
        this.#giveBack(false);
        if (isTrial) this.circuit.leave();
      },
    };
  }

  async #send(transfer: Transfer, isTrial: boolean): Promise<Result | undefined> {
    const takenBefore = this.#judge.taken;
    const stop = this.#context.metrics.sendSeconds.startTimer({ relay: this.#config.name });
    const limits = this.#limitsFor(transfer, isTrial);
    const sent = await this.#transport.send(transfer.mail, limits, transfer.signal);
    stop();
    const isRefused = this.#isRefusedConnection(sent);
    if (isRefused) this.#withhold();
    else this.#giveBack(sent === undefined || sent.taken || sent.fault.begun);
    if (sent?.taken) return this.#take(sent.reply, isTrial);
    const tellsNothing = isRefused || sent === undefined || sent.wasStale;
    if (!tellsNothing) return this.#settle({ fault: sent.fault, transfer, isTrial, takenBefore });
    if (isTrial) this.circuit.leave();
    return undefined;
  }

  /** A trial, and a mail that waited in vain once, get all the time of the RFC. */
  #limitsFor({ met }: Transfer, isTrial: boolean): Timeouts {
    const { timeouts, hasAlternative } = this.#context;
    const isUrgent = !isTrial && !met.has(this.#config.name) && hasAlternative(this.#config.name);
    return isUrgent ? withFailover(timeouts) : timeouts;
  }

  #take(reply: string, isTrial: boolean): Result {
    this.#judge.noteTaken();
    this.#show("refusingAll", false);
    if (isTrial) this.circuit.close();
    return { verdict: "sent", reply, relay: this.#config.name };
  }

  #settle(of: Case): Result | undefined {
    const { fault, isTrial } = of;
    const { verdict, works, refusesAll = false } = this.#judge.judge(of);
    if (works === "no") this.#open(fault, isTrial, refusesAll);
    else if (isTrial && works === "yes") this.circuit.close();
    else if (isTrial) this.circuit.leave();
    if (verdict === undefined) return undefined;
    const result = { verdict, reply: explain(fault), relay: this.#config.name };
    return refusesAll ? { ...result, reason: "RELAY_REFUSES_ALL" } : result;
  }

  /** Whether the relay has connections of ours, and does not want another one. */
  #isRefusedConnection(sent: Sent | undefined): boolean {
    if (sent === undefined || sent.taken || sent.fault.begun) return false;
    return sent.fault.responseCode === CLOSING && this.#transport.isConnected;
  }

  /** Has one connection less for a while. The mail waits for one of those that the relay accepted. */
  #withhold(): void {
    const { timeouts, onChange } = this.#context;
    this.#rate.giveBack(false);
    const giveBack = () => {
      this.#places += 1;
      onChange();
    };
    setTimeout(giveBack, timeouts.pause * REFUSED_PAUSES).unref();
  }

  #giveBack(isTokenUsed: boolean): void {
    this.#rate.giveBack(isTokenUsed);
    this.#places += 1;
    this.#slow.stop();
    // Not at once: what the mail met may open the circuit.
    queueMicrotask(this.#context.onChange);
  }

  async #probe(): Promise<Trouble | undefined> {
    // Every connection waits for a reply that may take ten minutes.
    if (this.#places === 0) return this.circuit.trouble;
    this.#places -= 1;
    const fault = await this.#transport.probe();
    this.#places += 1;
    return fault && this.#noteTrouble(fault);
  }

  #noteTrouble(fault: Fault): Trouble {
    const trouble = toTrouble(fault);
    this.#show("authRefused", trouble.authRefused);
    return trouble;
  }

  #open(fault: Fault, isTrial: boolean, refusesAll: boolean): void {
    const trouble = this.#noteTrouble(fault);
    const opening: Opening = { ...trouble, byMail: fault.begun };
    if (refusesAll) {
      opening.reason = `refuses nearly all mail, the last with ${trouble.reason}`;
      this.#show("refusingAll", true);
    }
    this.circuit.open(opening, isTrial);
    this.#transport.renew();
  }

  #switched(reason?: string): void {
    const { log, onChange } = this.#context;
    const { name: relay } = this.#config;
    this.#judge.forgetStrikes();
    this.#show("circuitOpen", reason !== undefined);
    if (reason !== undefined) {
      log.warn("relay in trouble: no mail goes to it", { relay, reason });
    } else {
      this.#show("authRefused", false);
      log.info("relay is well again", { relay });
    }
    onChange();
  }

  #slowChanged(isSlow: boolean): void {
    const { log, onChange } = this.#context;
    this.#show("relaySlow", isSlow);
    if (!isSlow) return;
    log.warn("relay slow: every connection waits for a reply", { relay: this.#config.name });
    onChange();
  }

  #show(gauge: Gauge, isOn: boolean): void {
    this.#context.metrics[gauge].set({ relay: this.#config.name }, isOn ? 1 : 0);
  }
}

type Gauge = "authRefused" | "circuitOpen" | "refusingAll" | "relaySlow";
