import MailComposer from "nodemailer/lib/mail-composer";
import type { RelayConfig } from "../config.ts";
import { toContent, type Mail } from "../mail/mime.ts";
import { Addresses, type Lookup } from "./addresses.ts";
import { classify, type Fault } from "./classify.ts";
import type { SmtpConnection } from "./smtp-connection.ts";
import { SmtpError } from "./smtp-error.ts";
import { toFailed, toFault, type Progress, type Sent } from "./smtp-fault.ts";
import { openConnection } from "./smtp-handshake.ts";
import { isReusable, toBody, transact, type Phase } from "./smtp-phase.ts";
import type { Timeouts } from "./timeouts.ts";

/** Hands mails to one relay over a pool of connections. It never has more than `connections`, those that end included. */
export class SmtpTransport {
  readonly #relay: RelayConfig;
  readonly #timeouts: Timeouts;
  readonly #addresses: Addresses;
  /** Connections that the relay may count: from before they are opened until their socket is closed. */
  #open = 0;
  /** Connections that are being opened. */
  #opening = 0;
  /** Called, one for each, when {@link #open} goes down. */
  readonly #waiting: (() => void)[] = [];
  /** Connections that were made ready for MAIL and are not closed. */
  readonly #ready = new Set<SmtpConnection>();
  /** Ready connections without a mail, the one used last at the end, and the timers that end them. */
  readonly #idle: { connection: SmtpConnection; timer: NodeJS.Timeout }[] = [];
  /** Connections whose QUIT is not answered yet. */
  readonly #ending = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  /** `timeouts` are those of probes, idle connections and QUIT; `lookup` resolves the relay's name, by default the system's. */
  constructor(relay: RelayConfig, timeouts: Timeouts, lookup?: Lookup) {
    this.#relay = relay;
    this.#timeouts = timeouts;
    this.#addresses = new Addresses(relay.host, lookup);
  }

  /** How many connections are ready for MAIL, with a mail or without, and how many are being opened. */
  get connections(): { ready: number; opening: number } {
    return { ready: this.#ready.size, opening: this.#opening };
  }

  /**
   * Sends a mail. Resolves to nothing when `signal` aborted before the final dot was sent, or `stopping` before MAIL was
   * sent. Never rejects.
   */
  async send(
    mail: Mail,
    timeouts: Timeouts,
    signal: AbortSignal,
    stopping: AbortSignal = signal,
  ): Promise<Sent | undefined> {
    const transfer: Progress = { phase: "opening", isReused: false };
    const opening = AbortSignal.any([signal, stopping]);
    const breakOff = () => {
      if (transfer.phase !== "dot") transfer.connection?.destroy("EABORT");
    };
    signal.addEventListener("abort", breakOff);
    try {
      return { taken: true, reply: await this.#transfer(mail, timeouts, opening, transfer) };
    } catch (error) {
      const isStopped = stopping.aborted && transfer.phase === "opening";
      const isBrokenOff = signal.aborted && transfer.phase !== "dot";
      return isStopped || isBrokenOff ? undefined : toFailed(error, transfer);
    } finally {
      signal.removeEventListener("abort", breakOff);
    }
  }

  /** Makes a connection ready for MAIL and keeps it. Resolves to the fault, if there is one. Never rejects. */
  async probe(): Promise<Fault | undefined> {
    try {
      this.#keep(await this.#connect(this.#timeouts, this.#closing.signal));
      return undefined;
    } catch (error) {
      return toFault(error, "opening");
    }
  }

  /** Ends the idle connections, and the others after their mail: later mails get new ones, at another address if any. */
  renew(): void {
    this.#addresses.avoidLast();
    for (const connection of this.#ready) connection.isLast = true;
    for (const { connection } of [...this.#idle]) this.#quit(connection);
  }

  /** Ends the idle connections with QUIT, then the others at once. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { connection } of [...this.#idle]) this.#quit(connection);
    await Promise.all(this.#ending);
    for (const connection of this.#ready) connection.destroy("EABORT");
  }

  /** `opening` aborts when the mail is not to be begun. */
  async #transfer(mail: Mail, timeouts: Timeouts, opening: AbortSignal, transfer: Progress) {
    const body = toBody(await compose(mail));
    const connection = this.#takeIdle() ?? (await this.#connect(timeouts, opening));
    transfer.connection = connection;
    transfer.isReused = connection.isUsed;
    connection.isUsed = true;
    try {
      opening.throwIfAborted();
      const onPhase = (phase: Phase) => (transfer.phase = phase);
      const { text } = await transact(connection, mail.envelope, body, timeouts, onPhase);
      return text;
    } catch (error) {
      await this.#reset(connection, error, transfer.phase);
      throw error;
    } finally {
      this.#keep(connection);
    }
  }

  async #connect(timeouts: Timeouts, signal: AbortSignal): Promise<SmtpConnection> {
    const wanted = AbortSignal.any([signal, this.#closing.signal]);
    while (this.#open >= this.#relay.connections) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#open += 1;
    this.#opening += 1;
    try {
      wanted.throwIfAborted();
      const connection = await openConnection(this.#relay, this.#addresses, timeouts, wanted);
      this.#ready.add(connection);
      const closed = () => this.#closed(connection);
      connection.closed.then(closed, closed);
      return connection;
    } catch (error) {
      this.#closed();
      throw error;
    } finally {
      this.#opening -= 1;
    }
  }

  #closed(connection?: SmtpConnection): void {
    if (connection) {
      this.#ready.delete(connection);
      this.#removeIdle(connection);
    }
    this.#open -= 1;
    this.#waiting.shift()?.();
  }

  /** Makes a connection ready for the next mail after a refusal, or marks it as the last one's. */
  async #reset(connection: SmtpConnection, error: unknown, phase: Phase): Promise<void> {
    // A relay that refuses amid the body would take any command for a line of it.
    const isInBody = error instanceof SmtpError && error.code === "EMESSAGE" && phase !== "dot";
    if (isInBody) connection.destroy("EABORT");
    const isAtEnd = classify(toFault(error, phase)) === "connection";
    if (error instanceof SmtpError && !isAtEnd && isReusable(error, connection)) {
      const resetting = connection.command("RSET", "RSET", this.#timeouts.quit);
      const reply = await resetting.catch(() => undefined);
      if (reply?.code === 250) return;
    }
    connection.isLast = true;
  }

  #keep(connection: SmtpConnection): void {
    const isWanted = connection.isSound && !connection.isLast && !this.#closing.signal.aborted;
    if (!isWanted || connection.isLost) {
      this.#quit(connection);
      return;
    }
    const timer = setTimeout(() => this.#quit(connection), this.#timeouts.idle).unref();
    this.#idle.push({ connection, timer });
    connection.onUnexpected = () => {
      this.#removeIdle(connection);
      connection.destroy("EABORT");
    };
  }

  #takeIdle(): SmtpConnection | undefined {
    const { connection } = this.#idle.at(-1) ?? {};
    if (connection) this.#removeIdle(connection);
    return connection;
  }

  #removeIdle(connection: SmtpConnection): void {
    const index = this.#idle.findIndex((each) => each.connection === connection);
    const [removed] = index < 0 ? [] : this.#idle.splice(index, 1);
    clearTimeout(removed?.timer);
    connection.onUnexpected = () => undefined;
  }

  #quit(connection: SmtpConnection): void {
    this.#removeIdle(connection);
    const ending = connection.quit(this.#timeouts.quit).then(() => {
      this.#ending.delete(ending);
    });
    this.#ending.add(ending);
  }
}

async function compose(mail: Mail): Promise<Buffer> {
  const content = { ...toContent(mail), disableFileAccess: true, disableUrlAccess: true };
  return new MailComposer(content).compile().build();
}
