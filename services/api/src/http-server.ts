import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server, ServerOptions } from "node:http";
import { Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { inTime, listen, type Check, type Component, type Log } from "@wellsent/runtime";
import type { HttpConfig } from "./config.ts";
import { Conversation } from "./conversation.ts";
import { Problem, type ProblemCode } from "./problem.ts";

/**
 * Against clients that send slowly or without end. Idle connections live longer than a load balancer's 60 s; clients that heed
 * `Keep-Alive: timeout` give them up sooner than a stopping server closes those that no answer could.
 */
const LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 10_000,
  keepAliveTimeoutBuffer: 55_000,
  maxHeaderSize: 16_384,
  // Node would answer in no words.
  requireHostHeader: false,
};
/** Each may hold a small body; more are closed at once. */
const CONNECTIONS_MAX = 2_000;
/** Node's own default of what the kernel may hold accepted, in connections. */
const BACKLOG = 511;
/** While stopping: how long an idle connection may still bring a request that was on the wire. */
const LINGER_MS = 1_000;
/** While stopping: how long begun requests may take; a publish ends well before. */
const DRAIN_MS = 12_000;

/** What the parser says, and what we call it. */
const PARSER_ERRORS: Readonly<Record<string, ProblemCode>> = {
  HPE_HEADER_OVERFLOW: "HEADERS_TOO_LARGE",
  ERR_HTTP_REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
};

/** Options of {@link HttpServer}. */
export interface HttpServerOptions extends HttpConfig {
  handle: RequestListener;
  /** Told the status of what could not be read as a request. */
  refused: (status: number) => void;
  log: Log;
  limits?: ServerOptions;
}

/** The HTTP server: its limits, and its end without losing a begun request. */
export class HttpServer implements Component {
  readonly name = "http";
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #conversations = new Map<Duplex, Conversation>();
  #stopping = false;
  /** Whether every answer ends its connection: not just before the port is closed, for that brings new connections. */
  #parting = false;
  #met = 0;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer({ ...LIMITS, ...options.limits }, this.#handle);
    // Their bytes are bounded; of more than so many Node would drop the rest without a word.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = CONNECTIONS_MAX;
    // A client may end its side once it has sent its requests; they are answered none the less.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.on("connection", this.#meet).on("clientError", this.#refuse);
    this.#server.on("checkContinue", this.#handle).on("checkExpectation", this.#handle);
    this.#server.on("connect", (_request, socket) => this.#refuse({}, socket));
  }

  /** Unready while it stops. */
  readonly check: Check = () => (this.#stopping ? { reason: "stopping", blocks: true } : undefined);

  async start(): Promise<void> {
    const { host, port, log } = this.#options;
    log.info("API listens", { port: await listen(this.#server, host, port) });
  }

  /** Becomes unready, then takes no more connections, answers what is begun or on the wire, closes. */
  async stop(signal: AbortSignal): Promise<void> {
    if (!this.#server.listening) return;
    this.#stopping = true;
    this.#parting = this.#options.leaveMs > 0;
    await sleep(this.#options.leaveMs, undefined, { signal }).catch(() => undefined);
    this.#parting = false;
    await this.#meetAll();
    this.#parting = true;
    const closed = once(this.#server, "close");
    // n.b. http's own close() destroys idle connections at once, and with them requests on the wire.
    NetServer.prototype.close.call(this.#server);
    for (const conversation of this.#conversations.values()) conversation.closeAfterLast();
    await inTime(LINGER_MS, closed, signal);
    for (const conversation of this.#conversations.values()) conversation.endIfIdle();
    await inTime(DRAIN_MS, closed, signal);
    this.#server.closeAllConnections();
  }

  /** What the kernel has accepted and we have not is reset when the port is closed. n.b. libuv takes one connection a turn. */
  async #meetAll(): Promise<void> {
    for (let turn = 0, quiet = 0; turn < BACKLOG && quiet < 2; turn += 1) {
      const before = this.#met;
      await nextTurn();
      quiet = this.#met === before ? quiet + 1 : 0;
    }
  }

  readonly #meet = (socket: Duplex): void => {
    this.#met += 1;
    this.#conversations.set(socket, new Conversation(socket));
    socket.once("close", () => this.#conversations.delete(socket));
  };

  readonly #handle: RequestListener = (request, response) => {
    const conversation = this.#conversations.get(request.socket);
    if (!conversation?.begin(response)) return;
    if (this.#parting) conversation.closeAfterLast();
    if (hasHost(request)) this.#options.handle(request, response);
    else {
      conversation.refuse(new Problem("REQUEST_MALFORMED"));
      this.#options.refused(response.statusCode);
    }
  };

  readonly #refuse = ({ code = "" }: Partial<NodeJS.ErrnoException>, socket: Duplex): void => {
    const problem = new Problem(PARSER_ERRORS[code] ?? "REQUEST_MALFORMED");
    if (this.#conversations.get(socket)?.refuse(problem)) this.#options.refused(problem.status);
  };
}

/** RFC 9112 §3.2: exactly one, from HTTP/1.1 on. */
function hasHost({ httpVersion, headersDistinct: { host = [] } }: IncomingMessage): boolean {
  return host.length === 1 || (host.length === 0 && httpVersion === "1.0");
}
