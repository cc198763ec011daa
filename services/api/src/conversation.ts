import { randomUUID } from "node:crypto";
import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Problem } from "./problem.ts";

/** How long a client may take to read why it was cut off, before the connection is destroyed. */
const PARTING_MS = 1_000;

/**
 * One connection with the responses that are due on it. A client may send requests before the first is answered (pipelining,
 * RFC 9112 §9.3.2), so whatever ends the connection waits until all that were begun are answered, in order.
 */
export class Conversation {
  readonly #socket: Duplex;
  readonly #open: ServerResponse[] = [];
  #last: ServerResponse | undefined;
  #refused = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Takes note of a request. False when the client was already told that no more are taken. */
  begin(response: ServerResponse): boolean {
    const last = this.#last;
    const closes = last?.headersSent && !last.shouldKeepAlive;
    if (!this.#socket.writable || closes) return false;
    this.#last = response;
    this.#open.push(response);
    response.once("close", () => this.#open.splice(this.#open.indexOf(response), 1));
    return true;
  }

  /** Has the connection close after the last response that is due, and not before. */
  closeAfterLast(): void {
    const last = this.#open.at(-1);
    for (const response of this.#open) response.shouldKeepAlive = response !== last;
  }

  /** Answers what could not be read, and closes. True when that is an answer to no begun request. */
  refuse(problem: Problem): boolean {
    if (this.#refused || !this.#socket.writable) return false;
    this.#refused = true;
    const last = this.#last;
    const begun = last && !last.req.complete;
    this.#afterLast(begun ? this.#end : () => this.#write(problem));
    // What was begun has a response, which waits for its turn.
    if (begun && !last.headersSent) {
      last.shouldKeepAlive = false;
      problem.answer(last);
    }
    return !begun;
  }

  /** Ends it unless a response is due. */
  endIfIdle(): void {
    if (this.#open.length === 0) this.#end();
  }

  readonly #end = (): void => void this.#socket.destroy();

  #afterLast(act: () => void): void {
    const last = this.#open.at(-1);
    if (last) last.once("close", act);
    else act();
  }

  /** n.b. not as a ServerResponse: the socket may still belong to one by which Node itself refuses a request. */
  #write(problem: Problem): void {
    if (!this.#socket.writable) return;
    const { status } = problem;
    const { headers, text } = problem.format(randomUUID());
    const fields = Object.entries({ ...headers, Connection: "close" });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}`;
    this.#socket.end(`${head}\r\n${text}`);
    // n.b. destroying it at once resets it when more has arrived, and the client never reads the answer.
    setTimeout(this.#end, PARTING_MS).unref();
  }
}
