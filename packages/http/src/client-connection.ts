import { randomUUID } from "node:crypto";
import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Problem } from "./problem.ts";

/** How long a client may take to read the problem before its connection is destroyed. Milliseconds. */
const READ_REFUSAL_MS = 1_000;

/**
 * A client connection, with its last response. A client may send several requests before it reads the first response
 * (pipelining, RFC 9112 §9.3.2), so the connection is closed after the responses to all begun requests, in order.
 */
export class ClientConnection {
  readonly #socket: Duplex;
  #last: ServerResponse | undefined;
  #refused = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /**
   * Notes a request. `closing`: its response ends the connection, unless another request follows before it is sent.
   * Returns false if an earlier response has already announced the end of the connection.
   */
  begin(response: ServerResponse, closing: boolean): boolean {
    const last = this.#last;
    if (!this.#socket.writable || (last?.headersSent && !last.shouldKeepAlive)) return false;
    if (closing && last && !last.headersSent) last.shouldKeepAlive = true;
    this.#last = response;
    if (closing) this.closeAfterLast();
    return true;
  }

  /** Sends `Connection: close` with the last response, unless its head is already sent. */
  closeAfterLast(): void {
    if (this.#last && !this.#last.headersSent) this.#last.shouldKeepAlive = false;
  }

  /** Answers a request that cannot be parsed, and closes the connection. Returns false if a begun request gets the answer. */
  refuse(problem: Problem): boolean {
    if (this.#refused || !this.#socket.writable) return false;
    this.#refused = true;
    const last = this.#last;
    if (!last || last.req.complete) {
      this.#afterLast(() => this.#write(problem));
      return true;
    }
    this.#afterLast(this.#destroy);
    // The begun request has a response, so the problem is sent with it, after earlier responses.
    if (!last.headersSent) {
      last.shouldKeepAlive = false;
      problem.answer(last);
    }
    return false;
  }

  /** Closes the connection if no response is outstanding. */
  closeIfIdle(): void {
    if (!this.#last || this.#last.closed) this.#destroy();
  }

  readonly #destroy = (): void => void this.#socket.destroy();

  #afterLast(act: () => void): void {
    if (!this.#last || this.#last.closed) act();
    else this.#last.once("close", act);
  }

  /** Writes to the socket itself, because it may still belong to a response by which Node refuses a request. */
  #write(problem: Problem): void {
    if (!this.#socket.writable) return;
    const { status } = problem.kind;
    const { headers, text } = problem.format(randomUUID());
    const fields = Object.entries({ ...headers, Connection: "close" });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}`;
    this.#socket.end(`${head}\r\n${text}`);
    // Destroying the socket at once would reset the connection if more bytes arrive, and the client could not read the answer.
    setTimeout(this.#destroy, READ_REFUSAL_MS).unref();
  }
}
