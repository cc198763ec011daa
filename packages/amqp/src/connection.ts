import { EventEmitter, once } from "node:events";
import { connect, type ChannelModel, type Options, type RecoveringChannelModel } from "amqplib";
import {
  codeOf,
  describe,
  settlesWithin,
  type Check,
  type Component,
  type Fields,
  type Log,
} from "@wellsent/runtime";
import type { AmqpMetrics } from "./metrics.ts";

/** amqplib has no default timeout: without one, a handshake with a server that never answers would never end. Milliseconds. */
const HANDSHAKE_MS = 10_000;
const HEARTBEAT_SECONDS = 15;
/**
 * The longest pause between two attempts to connect. Milliseconds. Leases depend on it: an emailer that lost its connection
 * must be connected again before its leases expire.
 */
const MAX_DELAY_MS = 2_000;
/** How long to wait for the broker's answer to `close`. Milliseconds. */
const CLOSE_MS = 2_000;

export interface ConnectionOptions {
  /** Returns the URL. It is called at every connect, so that a rotated password needs no restart. */
  url: () => string;
  service: string;
  /** For example `publish` or `consume`. Each purpose has its own connection, because the broker blocks all that publish. */
  purpose: string;
  metrics: AmqpMetrics;
  log: Log;
}

/** One connection to the broker, which reconnects when it is lost. {@link Session} opens its channels. */
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

  /** Whether the broker has stopped reading from this connection because of a memory or disk alarm. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Reports an outage of the broker. It does not make the service unready. */
  readonly check: Check = () => {
    const { purpose } = this.#options;
    if (!this.#model) return { reason: `broker down (${purpose})`, blocks: false };
    if (!this.#blocked) return undefined;
    return { reason: `broker blocked by a memory or disk alarm (${purpose})`, blocks: false };
  };

  /** Starts to connect, and does not wait for the connection: sessions wait for it with {@link connected}. */
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

  /** Resolves to the open connection, when there is one. @throws {Error} AbortError */
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
      warn("broker disconnected, reconnecting", { attempt, delayMs: delay, code: codeOf(error) });
    });
    connection.on("error", (error) => warn("broker connection error", describe(error)));
    connection.on("blocked", () => this.#block(true));
    connection.on("unblocked", () => this.#block(false));
  }

  #block(blocked: boolean): void {
    const { log, purpose } = this.#options;
    this.#blocked = blocked;
    log.warn(blocked ? "broker blocked the connection" : "broker unblocked the connection", {
      purpose,
    });
    this.#show();
  }

  #show(): void {
    const { metrics, purpose } = this.#options;
    metrics.up.set({ purpose }, this.#model ? 1 : 0);
    metrics.blocked.set({ purpose }, this.#blocked ? 1 : 0);
  }
}

/** amqplib reads the fields at each connect. Each field is a getter, so that it follows a changed URL. */
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
