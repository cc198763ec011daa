import type { Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { ReplyReader, type Reply } from "./reply-reader.ts";
import { SmtpError, type SmtpCommand, type SmtpErrorCode } from "./smtp-error.ts";
import { untilSecure } from "./tls-handshake.ts";

/** A command that waits for its reply. */
interface Waiting {
  command: SmtpCommand;
  /** Whether a line without a code arrived in place of the reply. */
  hasStray: boolean;
  resolve: (reply: Reply) => void;
  reject: (error: SmtpError) => void;
}

/** The longest block of the body that is written at once, in bytes. */
const BLOCK_BYTES = 65_536;

/**
 * A connection to a relay: it sends commands and bodies, and reads the replies.
 *
 * | a line arrives                  | a reply is awaited                            | none is awaited               |
 * | ------------------------------- | --------------------------------------------- | ----------------------------- |
 * | with a code                     | it ends the reply                             | stray: ignored, {@link isSound} is false |
 * | without a code                  | stray; a reply must follow within `stray` ms  | stray: ignored, {@link isSound} is false |
 */
export class SmtpConnection {
  #socket: Socket;
  readonly #reader = new ReplyReader();
  readonly #strayMs: number;
  #waiting: Waiting | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lost: SmtpError | undefined;
  #isSound = true;
  /** The extensions that the relay offers, by their keyword in upper case, with their parameters. */
  extensions: ReadonlyMap<string, string> = new Map();
  /** Whether a mail was sent over it before. */
  isUsed = false;
  /** Whether no further mail is to be sent over it. */
  isLast = false;
  /** Called when the relay ends it, or sends anything, while no reply is awaited. */
  onUnexpected: () => void = () => undefined;
  /** Resolves when its socket is closed. */
  readonly closed: Promise<void>;

  constructor(socket: Socket, strayMs: number) {
    this.#socket = socket;
    this.#strayMs = strayMs;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    this.#listen(socket);
  }

  /** Whether every line from the relay was in its place. If not, no refusal is to be believed, and no further mail sent. */
  get isSound(): boolean {
    return this.#isSound;
  }

  /** Whether it is lost. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Waits for a reply, for the greeting or after something was written. @throws {SmtpError} */
  async read(command: SmtpCommand, timeoutMs: number): Promise<Reply> {
    if (this.#lost) throw new SmtpError("ECONNECTION", command, { cause: this.#lost.cause });
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#waiting = { command, hasStray: false, resolve, reject };
    this.#timer = setTimeout(() => this.destroy("ETIMEDOUT"), timeoutMs);
    return promise;
  }

  /** Sends a line and waits for the reply. @throws {SmtpError} */
  async command(command: SmtpCommand, line: string, timeoutMs: number): Promise<Reply> {
    this.#socket.write(`${line}\r\n`);
    return this.read(command, timeoutMs);
  }

  /**
   * Sends a body that ends with the final dot, and resolves to the reply to the dot. `onDot` is called before the block with
   * the dot is written: until then the relay has nothing that it could deliver.
   * @throws {SmtpError} EMESSAGE when the relay refuses the body before the dot; EPROTOCOL when it says yes before the dot
   */
  async body(
    body: Buffer,
    { block, final }: { block: number; final: number },
    onDot: () => void,
  ): Promise<Reply> {
    const last = Math.floor((body.length - 1) / BLOCK_BYTES) * BLOCK_BYTES;
    for (let at = 0; at < last; at += BLOCK_BYTES) {
      const early = await this.#writeBlock(body.subarray(at, at + BLOCK_BYTES), block);
      if (early) throw this.#endBody(early);
    }
    onDot();
    this.#socket.write(body.subarray(last));
    return this.read("DATA", final);
  }

  /** Encrypts the connection. @throws {SmtpError} ETLS, ETIMEDOUT, or EPROTOCOL after bytes that are not encrypted */
  async startTls(options: ConnectionOptions, timeoutMs: number): Promise<void> {
    if (this.#reader.reset() || !this.#isSound) throw this.destroy("EPROTOCOL", "STARTTLS");
    if (this.isLost) throw this.destroy("ETLS", "STARTTLS");
    this.#socket.removeAllListeners("data");
    const secured = connectTls({ ...options, socket: this.#socket });
    this.#listen(secured);
    this.#socket = secured;
    const fault = await untilSecure(secured, timeoutMs);
    if (fault) throw this.destroy(fault.code, "STARTTLS", fault.cause ?? this.#lost?.cause);
  }

  /**
   * Sends QUIT (RFC 5321 §4.1.1.10) and closes the connection when the relay has closed its side, because the relay counts it
   * until then. `timeoutMs` is for both together. Never rejects.
   */
  async quit(timeoutMs: number): Promise<void> {
    this.onUnexpected = () => undefined;
    const giveUp = setTimeout(() => this.destroy("EABORT"), timeoutMs);
    if (!this.#lost) await this.command("QUIT", "QUIT", timeoutMs).catch(() => undefined);
    this.#socket.end();
    await this.closed;
    clearTimeout(giveUp);
  }

  /** Closes it at once. Whoever waits for a reply gets the error, which it returns. */
  destroy(code: SmtpErrorCode, command?: SmtpCommand, cause?: unknown): SmtpError {
    const waiting = this.#waiting;
    const error = new SmtpError(code, command ?? waiting?.command ?? "CONN", { cause });
    this.#lost ??= error;
    this.#socket.destroy();
    clearTimeout(this.#timer);
    this.#waiting = undefined;
    if (waiting) waiting.reject(error);
    else if (code !== "EABORT") this.onUnexpected();
    return error;
  }

  /** The relay replied before the final dot. Only a refusal is a reply to the body: nothing else can be meant for it. */
  #endBody(reply: Reply): SmtpError {
    if (reply.code >= 400) return new SmtpError("EMESSAGE", "DATA", { reply });
    return this.destroy("EPROTOCOL", "DATA");
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => socket.end());
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end());
  }

  #end(cause?: unknown): void {
    if (!this.#lost) this.destroy("ECONNECTION", undefined, cause);
  }

  #receive(chunk: Buffer): void {
    for (const reply of this.#reader.push(chunk)) this.#take(reply);
    if (this.#reader.isTooLong) this.destroy("EPROTOCOL");
  }

  #take(reply: Reply): void {
    const waiting = this.#waiting;
    if (!waiting) {
      this.#isSound = false;
      this.onUnexpected();
      return;
    }
    if (reply.code === 0) this.#takeStray(waiting, reply);
    else this.#answer(waiting, reply);
  }

  /** Postfix ignores such a line too. The reply itself may follow. Further lines do not prolong the wait. */
  #takeStray(waiting: Waiting, reply: Reply): void {
    this.#isSound = false;
    if (waiting.hasStray) return;
    waiting.hasStray = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#answer(waiting, reply), this.#strayMs);
  }

  #answer({ resolve }: Waiting, reply: Reply): void {
    clearTimeout(this.#timer);
    this.#waiting = undefined;
    resolve(reply);
  }

  /** Resolves to nothing when the socket has accepted the block, or to the reply of a relay that has heard enough. */
  async #writeBlock(block: Buffer, timeoutMs: number): Promise<Reply | undefined> {
    const reply = this.read("DATA", timeoutMs);
    // After a failed write the connection is lost, and the reply rejects.
    const written = new Promise<void>((resolve) => {
      this.#socket.write(block, (error) => (error ? undefined : resolve()));
    });
    const early = await Promise.race([reply, written]);
    if (early) return early;
    clearTimeout(this.#timer);
    this.#waiting = undefined;
    return undefined;
  }
}
