import { randomUUID } from "node:crypto";
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { answerProblem, type Problem } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";

/** How long a client may take to read why it was cut off, before the connection is destroyed. */
const PARTING_MS = 1_000;

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/**
 * One connection with the exchanges on it. A client may send requests before the first is answered (pipelining,
 * RFC 9112 §9.3.2), so whatever ends the connection waits until all that were begun are answered, in order.
 */
export class Conversation {
  readonly #socket: Duplex;
  readonly #open: Exchange[] = [];
  #last: Exchange | undefined;
  #refused = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  get idle(): boolean {
    return this.#open.length === 0;
  }

  /** Takes note of a request. False when the client was already told that no more are taken. */
  begin(request: IncomingMessage, response: ServerResponse): boolean {
    if (!this.#socket.writable || (this.#last && saysClose(this.#last.response))) return false;
    const exchange = { request, response };
    this.#last = exchange;
    this.#open.push(exchange);
    response.once("close", () => this.#open.splice(this.#open.indexOf(exchange), 1));
    return true;
  }

  /** Has the connection close after the last response that is due, and not before. */
  closeAfterLast(): void {
    this.#open.forEach(({ response }, index) => {
      response.shouldKeepAlive = index < this.#open.length - 1;
    });
  }

  /** Answers what could not be read, and closes. True when that is an answer to no begun request. */
  refuse(problem: Problem): boolean {
    if (this.#refused || !this.#socket.writable) return false;
    this.#refused = true;
    const last = this.#last;
    const begun = last && !last.request.complete;
    if (begun) this.#refuseBegun(last, problem);
    else this.#afterLast(() => this.#write(problem));
    return !begun;
  }

  readonly end = (): void => void this.#socket.destroy();

  /** The request has a response, which waits for its turn. */
  #refuseBegun({ response }: Exchange, problem: Problem): void {
    this.#afterLast(this.end);
    if (response.headersSent) return;
    response.shouldKeepAlive = false;
    answerProblem(response, problem, requestIdOf(response));
  }

  #afterLast(act: () => void): void {
    const last = this.#open.at(-1);
    if (last) last.response.once("close", act);
    else act();
  }

  #write(problem: Problem): void {
    if (!this.#socket.writable) return;
    const { status } = problem;
    const { headers, text } = problem.format(randomUUID());
    const fields = Object.entries({ ...headers, Connection: "close" });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}`;
    this.#socket.end(`${head}\r\n${text}`);
    // n.b. destroying it at once resets it when more has arrived, and the client never reads the answer.
    setTimeout(this.end, PARTING_MS).unref();
  }
}

function saysClose(response: ServerResponse): boolean {
  return response.headersSent && !response.shouldKeepAlive;
}
