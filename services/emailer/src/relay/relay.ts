import type { Check } from "@wellsent/runtime";
import type { RelayConfig } from "../config.ts";
import { Capacity } from "./capacity.ts";
import { explain, isThrottled, toTrouble, type Fault, type Trouble } from "./classify.ts";
import { Judge, type Case } from "./judge.ts";
import type { RelayContext } from "./relay-context.ts";
import { RelayReports } from "./relay-reports.ts";
import type { Sent } from "./smtp-fault.ts";
import { SmtpTransport } from "./smtp-transport.ts";
import { Circuit, type Opening } from "./states.ts";
import { withFailover, type Timeouts } from "./timeouts.ts";
import type { Place, Result, Transfer } from "./transfer.ts";

/** An SMTP server that mail is sent to, with its circuit and its limits. */
export class Relay {
  readonly name: string;
  readonly circuit: Circuit;
  readonly #connections: number;
  readonly #context: RelayContext;
  readonly #reports: RelayReports;
  readonly #transport: SmtpTransport;
  readonly #capacity: Capacity;
  readonly #judge: Judge;

  constructor(config: RelayConfig, context: RelayContext) {
    const { timeouts, ending, onChange } = context;
    this.name = config.name;
    this.#connections = config.connections;
    this.#context = context;
    this.#reports = new RelayReports(config.name, context);
    this.#transport = new SmtpTransport(config, timeouts);
    this.#judge = new Judge(config.name);
    const onSlow = (isSlow: boolean) => this.#slowChanged(isSlow);
    const { connections, rate } = config;
    this.#capacity = new Capacity({ connections, rate, timeouts, onFree: onChange, onSlow });
    this.circuit = new Circuit({
      pauseMs: timeouts.pause,
      ending,
      probe: () => this.#probe(),
      onSwitch: (reason) => this.#switched(reason),
      onHalfOpen: onChange,
    });
  }

  /** Names why the relay is down or slow. The service stays ready meanwhile. */
  readonly check: Check = () => {
    const slow = this.isSlow ? "every connection waits for a reply" : undefined;
    const reason = this.circuit.trouble?.reason ?? slow;
    if (reason === undefined) return undefined;
    return { reason: `relay ${this.name}: ${reason}`, blocks: false };
  };

  /** Whether each of its connections has waited for a reply for some time: mails that wait are sent to the next relay. */
  get isSlow(): boolean {
    return this.#capacity.isSlow;
  }

  /** Ends its connections. */
  async close(): Promise<void> {
    this.#capacity.stop();
    await this.#transport.close();
  }

  /** Reserves a place and a token for a mail that the circuit admits. Returns undefined when there is none. */
  enter(): Place | undefined {
    if (!this.#capacity.take()) return undefined;
    const isTrial = this.circuit.enter();
    return {
      isTrial,
      send: (transfer) => this.#send(transfer, isTrial),
      cancel: () => {
        this.#capacity.giveBack(false);
        if (isTrial) this.circuit.leave();
      },
    };
  }

  async #send(transfer: Transfer, isTrial: boolean): Promise<Result | undefined> {
    const takenBefore = this.#judge.taken;
    const stop = this.#reports.timeSend();
    const limits = this.#limitsFor(transfer, isTrial);
    const { mail, signal } = transfer;
    const sent = await this.#transport.send(mail, limits, signal, this.#context.ending);
    stop();
    const isRefused = this.#isRefusedConnection(sent);
    if (isRefused) this.#capacity.withhold();
    else this.#capacity.giveBack(sent === undefined || sent.taken || sent.fault.begun);
    if (sent?.taken) return this.#take(sent.reply, isTrial);
    const tellsNothing = isRefused || sent === undefined || this.#wasStale(sent, transfer);
    if (!tellsNothing) return this.#settle({ fault: sent.fault, transfer, isTrial, takenBefore });
    if (isTrial) this.circuit.leave();
    return undefined;
  }

  /** The trial, and a mail that already failed at this relay, get the full times of the RFC. */
  #limitsFor({ met }: Transfer, isTrial: boolean): Timeouts {
    const { timeouts, hasAlternative } = this.#context;
    const isUrgent = !isTrial && !met.has(this.name) && hasAlternative(this.name);
    return isUrgent ? withFailover(timeouts) : timeouts;
  }

  #take(reply: string, isTrial: boolean): Result {
    this.#judge.noteTaken();
    this.#reports.refusingAll(false);
    if (isTrial) this.circuit.close();
    return { verdict: "sent", reply, relay: this.name };
  }

  #settle(of: Case): Result | undefined {
    const { fault, isTrial } = of;
    const { verdict, works, refusesAll = false } = this.#judge.judge(of);
    if (works === "no") this.#open(fault, isTrial, refusesAll);
    else if (isTrial && works === "yes") this.circuit.close();
    else if (isTrial) this.circuit.leave();
    if (verdict === undefined) return undefined;
    const result = { verdict, reply: explain(fault), relay: this.name };
    return refusesAll ? { ...result, reason: "RELAY_REFUSES_ALL" } : result;
  }

  /** Each kept connection may be stale once. After as many, a mail that meets another one may be the cause. */
  #wasStale({ wasStale }: { wasStale: boolean }, transfer: Transfer): boolean {
    if (!wasStale || transfer.staleConnections >= this.#connections) return false;
    transfer.staleConnections += 1;
    return true;
  }

  /**
   * Whether the relay has connections of ours, and does not want another one: it asks for less, or does not greet. While
   * others are being opened, their outcome decides.
   */
  #isRefusedConnection(sent: Sent | undefined): boolean {
    if (sent === undefined || sent.taken || sent.fault.begun) return false;
    const { ready, opening } = this.#transport.connections;
    if (isThrottled(sent.fault)) return ready + opening > 0;
    return ready > 0 && sent.fault.command === "CONN" && sent.fault.response === undefined;
  }

  async #probe(): Promise<Trouble | undefined> {
    const fault = await this.#capacity.probe(() => this.#transport.probe());
    // Every connection waits for a reply, which may take ten minutes: nothing new is known.
    if (fault === "busy") return this.circuit.trouble;
    return fault && this.#noteTrouble(fault);
  }

  #noteTrouble(fault: Fault): Trouble {
    const trouble = toTrouble(fault);
    this.#reports.trouble(trouble);
    return trouble;
  }

  #open(fault: Fault, isTrial: boolean, refusesAll: boolean): void {
    const trouble = this.#noteTrouble(fault);
    const opening: Opening = { ...trouble, byMail: fault.begun };
    if (refusesAll) {
      opening.reason = `refuses nearly all mail, the last with ${trouble.reason}`;
      this.#reports.refusingAll(true);
    }
    this.circuit.open(opening, isTrial);
    this.#transport.renew();
  }

  #switched(reason?: string): void {
    this.#judge.forgetStrikes();
    if (reason === undefined) this.#reports.recovered();
    else this.#reports.down(reason);
    this.#context.onChange();
  }

  #slowChanged(isSlow: boolean): void {
    this.#reports.slow(isSlow);
    if (isSlow) this.#context.onChange();
  }
}
