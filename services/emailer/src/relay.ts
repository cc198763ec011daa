import { setTimeout as sleep } from "node:timers/promises";
import type { Check, Component, Log } from "@posthorn/chassis";
import { Circuit } from "./circuit.ts";
import { classify, isThrottled, type Fault, type Verdict } from "./classify.ts";
import { Gate } from "./gate.ts";
import type { Mail } from "./mail.ts";
import { createMailTransport, type MailTransport, type RelayOptions } from "./mail-transport.ts";
import type { EmailerMetrics } from "./metrics.ts";

/** A delivery that breaks the connection this often, while others pass, is the message's trouble. */
const BREAKS_MAX = 3;
const BREAK_PAUSE_MS = 500;
/** Deliveries are held this long for a relay in trouble, then given back to the broker. */
const HELD_MS = 600_000;

/** What became of a mail at the relay; the relay's own trouble is waited out and never seen here. */
export interface Result {
  verdict: "sent" | Exclude<Verdict, "relay">;
  reply: string;
  /** The name of the relay that answered. */
  relay: string;
}

/** Options of {@link Relay}. */
export interface RelayComponentOptions extends RelayOptions {
  /** Called when the relay is in trouble, and when it is well again. */
  onTrouble: () => void;
  onWell: () => void;
  /** Called when deliveries have been held for ten minutes. */
  onHeldTooLong: () => void;
  metrics: EmailerMetrics;
  log: Log;
}

/** The SMTP server that mail is handed to, with its circuit. */
export class Relay implements Component {
  readonly name: string;
  readonly #options: RelayComponentOptions;
  readonly #transport: MailTransport;
  readonly #circuit: Circuit;
  readonly #gate: Gate;
  #taken = 0;
  #patience: NodeJS.Timeout | undefined;

  constructor(options: RelayComponentOptions) {
    this.name = new URL(options.url).host;
    this.#options = options;
    this.#transport = createMailTransport(options);
    this.#gate = new Gate(options.connections);
    this.#circuit = new Circuit({
      probe: () => this.#probe(),
      onOpen: (reason) => this.#opened(reason),
      onClose: () => this.#closed(),
    });
    options.metrics.circuitOpen.set({ relay: this.name }, 0);
  }

  /** Names the relay's trouble; waiting for it is no unreadiness. */
  readonly check: Check = () =>
    this.#circuit.reason === undefined
      ? undefined
      : { reason: `relay ${this.name}: ${this.#circuit.reason}`, blocks: false };

  start(): void {
    // It connects when there is something to send.
  }

  stop(): void {
    this.#transport.close();
  }

  /** Lets go of what waits for the relay. */
  release(): void {
    this.#circuit.end();
  }

  /**
   * Hands over a mail, waiting out the relay's own trouble.
   * @throws {Error} AbortError when the delivery's channel is lost, or the emailer stops, before it was handed over
   */
  async send(mail: Mail, signal: AbortSignal): Promise<Result> {
    for (let breaks = 0, before = this.#taken; ; before = this.#taken) {
      await this.#circuit.closed();
      const answer = await this.#gate.through(() => this.#hand(mail, signal));
      if (answer === undefined) continue;
      if ("verdict" in answer) return answer;
      if (this.#taken === before || !isOfOneMail(answer))
        this.#circuit.open(explainBriefly(answer), isThrottled(answer));
      else if (++breaks === BREAKS_MAX) return this.#result("deferred", explain(answer));
      else await sleep(BREAK_PAUSE_MS);
    }
  }

  /** Hands over once: the result, or the relay's fault, or nothing when the circuit opened in the meantime. */
  async #hand(mail: Mail, signal: AbortSignal): Promise<Result | Fault | undefined> {
    signal.throwIfAborted();
    if (this.#circuit.reason !== undefined) return undefined;
    const stop = this.#options.metrics.sendSeconds.startTimer({ relay: this.name });
    const sent = await this.#transport.send(mail);
    stop();
    if (!sent.taken) return this.#judge(sent.fault);
    this.#taken += 1;
    this.#circuit.succeeded();
    return this.#result("sent", sent.reply);
  }

  #judge(fault: Fault): Result | Fault {
    const verdict = classify(fault);
    return verdict === "relay" ? fault : this.#result(verdict, explain(fault));
  }

  #result(verdict: Result["verdict"], reply: string): Result {
    return { verdict, reply, relay: this.name };
  }

  async #probe(): Promise<string | undefined> {
    const fault = await this.#transport.probe();
    return fault && explainBriefly(fault);
  }

  #opened(reason: string): void {
    const { metrics, log, onTrouble, onHeldTooLong } = this.#options;
    metrics.circuitOpen.set({ relay: this.name }, 1);
    const { name: relay } = this;
    log.warn("relay in trouble: consuming stops until a probe succeeds", { relay, reason });
    onTrouble();
    this.#patience = setTimeout(onHeldTooLong, HELD_MS).unref();
  }

  #closed(): void {
    const { metrics, log, onWell } = this.#options;
    metrics.circuitOpen.set({ relay: this.name }, 0);
    log.info("relay is well again", { relay: this.name });
    clearTimeout(this.#patience);
    onWell();
  }
}

/** Whether a fault may be about one mail: the connection broke, or it was refused after MAIL, where recipients come in. */
function isOfOneMail({ responseCode, command }: Fault): boolean {
  return responseCode === undefined || command === "RCPT TO" || command === "DATA";
}

/** n.b. for logs and readiness: a relay's text may quote a recipient. */
function explainBriefly({ responseCode, code, command }: Fault): string {
  return `${responseCode ?? code} at ${command || "connect"}`;
}

/** The relay's reply, or nodemailer's code and the phase. */
function explain({ response, code, command }: Fault): string {
  return response ?? `${code} at ${command || "connect"}`;
}
