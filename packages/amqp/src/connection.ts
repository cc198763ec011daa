import { EventEmitter, once } from "node:events";
import { connect, type ChannelModel, type Options, type RecoveringChannelModel } from "amqplib";
import {
  type Component,
  codeOf,
  settlesWithin,
  describe,
  type Fields,
  type Log,
  type Check,
} from "@wellsent/runtime";
import type { AmqpMetrics } from "./metrics.ts";

/** amqplib has no timeout of its own: a handshake into a black hole would hang for ever. */
const HANDSHAKE_MS = 10_000;
const HEARTBEAT_SECONDS = 15;
/**
 * Longest pause between two tries to connect, in milliseconds. Leases depend on it: a live emailer is connected again before
 * another one sends its mail.
 */
const MAX_DELAY_MS = 2_000;
/** `close` settles only on the broker's answer. */
const CLOSE_MS = 2_000;

/** Options of {@link AmqpConnection}. */
export interface ConnectionOptions {
  /** Gives the URL; asked again at every connect, so that a rotated password needs no restart. */
  url: () => string;
  service: string;
  /** What the connection is for, `publish` or `consume`: a blocked publisher must not stop consumers. */
  purpose: string;
  metrics: AmqpMetrics;
  log: Log;
}

/** One connection to the broker, which comes back by itself. Channels are the business of {@link Session}. */
export class AmqpConnection implements Component {
  readonly name: string;
  readonly #options: ConnectionOptions;
  readonly #events = new EventEmitter();
  #recovering: RecoveringChannelModel | undefined;
  #model: ChannelModel | undefined;
  #blocked = false;

  constructor(options: ConnectionOptions) {
    this.name = `amqp ${options.purpose}`;
    this.#options = options;
    this.#show();
  }

  /** Whether the broker has stopped reading from us because of a memory or disk alarm. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Names the outage in readiness, without making the service unready. */
  readonly check: Check = () => {
    const { purpose } = this.#options;
    if (!this.#model) return { reason: `broker away (${purpose})`, blocks: false };
    if (!this.#blocked) return undefined;
    return { reason: `broker blocks publishing: alarm (${purpose})`, blocks: false };
  };

  /** Begins to connect and does not wait for it: a broker that is away at start is waited for by the sessions. */
  async start(): Promise<void> {
    const { service, purpose } = this.#options;
    this.#recovering = await connect(endpoint(this.#options.url), {
      timeout: HANDSHAKE_MS,
      noDelay: true,
      clientProperties: { connection_name: `${service}-${purpose}` },
      recovery: { initialDelay: 100, maxDelay: MAX_DELAY_MS, jitter: 0.2, waitForConnect: false },
    });
    this.#listen(this.#recovering);
  }

  /** The live connection, as soon as there is one. @throws {Error} AbortError */
  async connected(signal: AbortSignal): Promise<ChannelModel> {
    while (!this.#model) await once(this.#events, "connect", { signal });
    return this.#model;
  }

  async stop(): Promise<void> {
    if (this.#recovering) await settlesWithin(CLOSE_MS, this.#recovering.close());
  }

  #listen(connection: RecoveringChannelModel): void {
    const { log, metrics, purpose } = this.#options;
    const warn = (message: string, fields: Fields) => log.warn(message, { purpose, ...fields });
    connection.on("connect", (model) => {
      const { version } = model.connection.serverProperties;
      log.info("broker connected", { purpose, version });
      metrics.connects.inc({ purpose });
      this.#model = model;
      this.#show();
      this.#events.emit("connect");
    });
    connection.on("disconnect", (error) => {
      warn("broker connection lost", describe(error));
      this.#model = undefined;
      this.#blocked = false;
      this.#show();
    });
    connection.on("reconnect-scheduled", ({ attempt, delay, error }) => {
      warn("broker away, connecting again", { attempt, delayMs: delay, code: codeOf(error) });
    });
    connection.on("error", (error) => warn("broker connection error", describe(error)));
    connection.on("blocked", () => this.#block(true));
    connection.on("unblocked", () => this.#block(false));
  }

  #block(blocked: boolean): void {
    const { log, purpose } = this.#options;
    this.#blocked = blocked;
    log.warn(`broker ${blocked ? "blocks" : "unblocked"} the connection`, { purpose });
    this.#show();
  }

  #show(): void {
    const { metrics, purpose } = this.#options;
    metrics.up.set({ purpose }, this.#model ? 1 : 0);
    metrics.blocked.set({ purpose }, this.#blocked ? 1 : 0);
  }
}

/** amqplib reads the fields at each connect, so each is a getter that reads the URL anew. */
function endpoint(url: () => string): Options.Connect {
  const field = (read: (url: URL) => string | number) => ({ get: () => read(new URL(url())) });
  const fields = {
    protocol: field(({ protocol }) => protocol.slice(0, -1)),
    hostname: field(({ hostname }) => hostname.replace(/^\[|\]$/g, "")),
    port: field(({ port, protocol }) => Number(port || (protocol === "amqps:" ? 5671 : 5672))),
    username: field(({ username }) => decodeURIComponent(username || "guest")),
    password: field(({ password }) => decodeURIComponent(password || "guest")),
    vhost: field(({ pathname }) => pathname.slice(1)),
  };
  return Object.defineProperties<Options.Connect>({ heartbeat: HEARTBEAT_SECONDS }, fields);
}
