import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type ChannelModel, type Options, type RecoveringChannelModel } from "amqplib";
import type { Component } from "../lifecycle.ts";
import { describe, type Log } from "../logger.ts";
import type { Check } from "../metrics-server.ts";
import type { AmqpMetrics } from "./metrics.ts";

/** amqplib has no timeout of its own: a handshake into a black hole would hang for ever. */
const HANDSHAKE_MS = 10_000;
const HEARTBEAT_SECONDS = 15;
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
    const purpose = this.#options.purpose;
    if (!this.#model) return { reason: `broker away (${purpose})`, blocks: false };
    return this.#blocked
      ? { reason: `broker blocks publishing: alarm (${purpose})`, blocks: false }
      : undefined;
  };

  /** Begins to connect and does not wait for it: a broker that is away at start is waited for by the sessions. */
  async start(): Promise<void> {
    const { service, purpose } = this.#options;
    this.#recovering = await connect(endpoint(this.#options.url), {
      timeout: HANDSHAKE_MS,
      noDelay: true,
      clientProperties: { connection_name: `${service}-${purpose}` },
      recovery: { initialDelay: 100, maxDelay: 5_000, jitter: 0.2, waitForConnect: false },
    });
    this.#listen(this.#recovering);
  }

  /** The live connection, as soon as there is one. @throws {Error} AbortError */
  async connected(signal: AbortSignal): Promise<ChannelModel> {
    while (!this.#model) await once(this.#events, "connect", { signal });
    return this.#model;
  }

  async stop(): Promise<void> {
    await Promise.race([this.#recovering?.close(), sleep(CLOSE_MS, undefined, { ref: false })]);
  }

  #listen(connection: RecoveringChannelModel): void {
    const { log, metrics, purpose } = this.#options;
    connection.on("connect", (model) => {
      metrics.connects.inc({ purpose });
      log.info("broker connected", {
        purpose,
        version: model.connection.serverProperties.version,
      });
      this.#model = model;
      this.#show();
      this.#events.emit("connect");
    });
    connection.on("disconnect", (error) => {
      log.warn("broker connection lost", { purpose, ...describe(error) });
      this.#model = undefined;
      this.#blocked = false;
      this.#show();
    });
    connection.on("reconnect-scheduled", ({ attempt, delay, error }) => {
      log.warn("broker away, connecting again", {
        purpose,
        attempt,
        delayMs: delay,
        ...brief(error),
      });
    });
    connection.on("error", (error) => {
      log.warn("broker connection error", { purpose, ...describe(error) });
    });
    connection.on("blocked", () => {
      this.#block(true);
    });
    connection.on("unblocked", () => {
      this.#block(false);
    });
  }

  #block(blocked: boolean): void {
    this.#blocked = blocked;
    this.#options.log.warn(
      blocked ? "broker blocks the connection" : "broker unblocked the connection",
      { purpose: this.#options.purpose },
    );
    this.#show();
  }

  #show(): void {
    const { metrics, purpose } = this.#options;
    metrics.up.set({ purpose }, this.#model ? 1 : 0);
    metrics.blocked.set({ purpose }, this.#blocked ? 1 : 0);
  }
}

/** amqplib reads the fields at each connect, and getters read the URL anew. */
function endpoint(url: () => string): Options.Connect {
  const parse = () => new URL(url());
  return {
    get protocol() {
      return parse().protocol.slice(0, -1);
    },
    get hostname() {
      return parse().hostname.replace(/^\[|\]$/g, "");
    },
    get port() {
      return Number(parse().port || (parse().protocol === "amqps:" ? 5671 : 5672));
    },
    get username() {
      return decodeURIComponent(parse().username || "guest");
    },
    get password() {
      return decodeURIComponent(parse().password || "guest");
    },
    get vhost() {
      return parse().pathname.slice(1);
    },
    heartbeat: HEARTBEAT_SECONDS,
  };
}

function brief(error: Error): { code: string } {
  return { code: String(describe(error)["code"]) };
}
