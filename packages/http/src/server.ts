import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
} from "node:http";
import { Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { listen, settlesWithin, type Check, type Component, type Log } from "@wellsent/runtime";
import { ClientConnection } from "./client-connection.ts";
import type { HttpMetrics } from "./metrics.ts";
import { Problem, type ProblemKind } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";

/** How long clients should keep an idle connection (`Keep-Alive: timeout`). Milliseconds. */
const KEEP_ALIVE_MS = 10_000;

/**
 * Limits on clients that send slowly or without end. The server keeps an idle connection longer than the 60 s of a load
 * balancer. A client that follows the hint of 10 s closes it before the server does.
 */
const LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: KEEP_ALIVE_MS,
  keepAliveTimeoutBuffer: 55_000,
  maxHeaderSize: 16_384,
  // Node would answer without a problem document.
  requireHostHeader: false,
};
/** Connections above this number are closed at once. */
const CONNECTIONS_MAX = 2_000;
/** Node's default of how many connections the kernel may hold that the process has not accepted yet. */
const BACKLOG = 511;
/** The least time in which a stopping server accepts requests on idle connections. Milliseconds. */
const LINGER_MIN_MS = 1_000;
/** How long a request may take after the port has closed, and the least time for requests that began later. Milliseconds. */
const DRAIN_MS = 12_000;
const DRAIN_MIN_MS = 4_000;
/** A turn of the event loop below this duration did almost no work. Milliseconds. */
const SHORT_TURN_MS = 0.5;

const PARSER_ERRORS: Readonly<Record<string, ProblemKind>> = {
  HPE_HEADER_OVERFLOW: HTTP_PROBLEMS.HEADERS_TOO_LARGE,
  ERR_HTTP_REQUEST_TIMEOUT: HTTP_PROBLEMS.REQUEST_TIMEOUT,
};

export interface HttpServerOptions {
  name: string;
  host: string;
  port: number;
  handle: RequestListener;
  /** How long a stopping server is unready and still accepts connections, so that load balancers stop using it. Milliseconds. */
  leaveMs?: number;
  /** How long a stopping server waits at most until clients close their idle connections. Milliseconds. */
  lingerMaxMs?: number;
  metrics: Pick<HttpMetrics, "requests">;
  log: Log;
  limits?: ServerOptions;
}

/**
 * An HTTP server with limits, which stops without losing a begun request.
 *
 * | state     | entered when                        | connections                     | responses                 |
 * | --------- | ----------------------------------- | ------------------------------- | ------------------------- |
 * | serving   | started                             | accepted                        | keep their connection     |
 * | leaving   | stopped, for `leaveMs`              | accepted                        | `Connection: close`       |
 * | accepting | leaving ends                        | those that the kernel accepted  | keep their connection     |
 * | lingering | none is left, and the port closes   | idle ones may send a request    | `Connection: close`       |
 * | draining  | clients have closed idle ones       | idle ones are closed            | `Connection: close`       |
 * | closed    | none is left, or the deadline is up | destroyed                       |                           |
 */
export class HttpServer implements Component {
  readonly name: string;
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, ClientConnection>();
  #stopping = false;
  /** Whether responses end their connections. Not while accepting: clients would reconnect to a port that is about to close. */
  #closing = false;
  #accepted = 0;

  constructor(options: HttpServerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#server = createServer({ ...LIMITS, ...options.limits }, this.#handle);
    // `maxHeaderSize` limits the header fields. Node would silently drop fields above a number.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = CONNECTIONS_MAX;
    // A client that closes its sending side after its requests still gets the responses.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.on("connection", this.#accept).on("clientError", this.#refuse);
    this.#server.on("checkContinue", this.#handle).on("checkExpectation", this.#handle);
    this.#server.on("connect", (_request, socket) => this.#refuse({}, socket));
  }

  /** Makes the service unready while the server stops. */
  readonly check: Check = () => (this.#stopping ? { reason: "stopping", blocks: true } : undefined);

  async start(): Promise<void> {
    const { name, host, port, log } = this.#options;
    log.info(`${name} listens`, { port: await listen(this.#server, host, port) });
  }

  /** Passes through the states from leaving to closed. The signal ends each of them early. */
  async stop(signal: AbortSignal): Promise<void> {
    const { leaveMs = 0 } = this.#options;
    if (!this.#server.listening) return;
    this.#stopping = true;
    this.#closing = leaveMs > 0;
    await sleep(leaveMs, undefined, { signal }).catch(() => undefined);
    this.#closing = false;
    await this.#acceptAll();
    this.#closing = true;
    const closed = once(this.#server, "close");
    // close() of node:http destroys idle connections at once, and with them requests on the wire.
    NetServer.prototype.close.call(this.#server);
    for (const connection of this.#connections.values()) connection.closeAfterLast();
    const lingerMs = this.#lingerMs(leaveMs);
    await settlesWithin(lingerMs, closed, signal);
    for (const connection of this.#connections.values()) connection.closeIfIdle();
    await settlesWithin(Math.max(DRAIN_MIN_MS, DRAIN_MS - lingerMs), closed, signal);
    this.#server.closeAllConnections();
  }

  /**
   * If the server closed an idle connection, it would reset a request that the client sends at that moment. So the client
   * must close it. It does so within `Keep-Alive: timeout`, counted from before the server began to leave.
   */
  #lingerMs(leaveMs: number): number {
    const { lingerMaxMs = Infinity } = this.#options;
    const clientsCloseMs = this.#server.keepAliveTimeout + LINGER_MIN_MS - leaveMs;
    return Math.max(LINGER_MIN_MS, Math.min(clientsCloseMs, lingerMaxMs));
  }

  /**
   * When the port closes, the kernel resets connections that the process has not accepted. This method accepts them until
   * two turns of the event loop accept none. Long turns do not count, because a connection may arrive during them. libuv
   * accepts one connection a turn.
   */
  async #acceptAll(): Promise<void> {
    let quiet = 0;
    for (let turn = 0; turn < BACKLOG && quiet < 2; turn += 1) {
      const before = this.#accepted;
      const begun = performance.now();
      await nextTurn();
      const isQuiet = this.#accepted === before && performance.now() - begun < SHORT_TURN_MS;
      quiet = isQuiet ? quiet + 1 : 0;
    }
  }

  readonly #accept = (socket: Duplex): void => {
    this.#accepted += 1;
    this.#connections.set(socket, new ClientConnection(socket));
    socket.once("close", () => this.#connections.delete(socket));
  };

  readonly #handle: RequestListener = (request, response) => {
    const connection = this.#connections.get(request.socket);
    if (!connection?.begin(response, this.#closing)) return;
    if (hasHost(request)) {
      this.#options.handle(request, response);
      return;
    }
    connection.refuse(new Problem(HTTP_PROBLEMS.REQUEST_MALFORMED));
    this.#note(HTTP_PROBLEMS.REQUEST_MALFORMED);
  };

  readonly #refuse = ({ code = "" }: Partial<NodeJS.ErrnoException>, socket: Duplex): void => {
    const kind = PARSER_ERRORS[code] ?? HTTP_PROBLEMS.REQUEST_MALFORMED;
    if (this.#connections.get(socket)?.refuse(new Problem(kind))) this.#note(kind);
  };

  /** Counts and logs a request that reached no route. */
  #note({ code, status }: ProblemKind): void {
    const labels = { method: "unknown", route: "unknown", status };
    this.#options.metrics.requests.inc(labels);
    this.#options.log.debug("request", { ...labels, code });
  }
}

/** RFC 9112 §3.2: a request has exactly one `Host` field, from HTTP/1.1 on. */
function hasHost({ httpVersion, headersDistinct: { host = [] } }: IncomingMessage): boolean {
  return host.length === 1 || (host.length === 0 && httpVersion === "1.0");
}
