import { setTimeout as sleep } from "node:timers/promises";
import type { ChannelModel, ConfirmChannel } from "amqplib";
import {
  codeOf,
  ConfigError,
  describe,
  settlesWithin,
  type Component,
  type Log,
} from "@wellsent/runtime";
import type { AmqpConnection } from "./connection.ts";
import { declare, type Topology } from "./declare.ts";

/** The pause before the next channel is built doubles from the first to the last value. Milliseconds. */
const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 1_500;
/** The longest pause while {@link Session.isWaiting} is true. Milliseconds. */
const WAITING_DELAY_MS = 1_000;
/** How long building a channel may take. Milliseconds. */
const BUILD_MS = 15_000;
/** How long to wait for the broker to close a channel. Milliseconds. */
const CLOSE_MS = 2_000;
/** AMQP 0-9-1 reply code 406: an exchange or queue exists with other arguments. */
const PRECONDITION_FAILED = "406";

export interface SessionOptions {
  connection: AmqpConnection;
  /** Declared on every new channel before it is used. */
  topology: Topology;
  /** Called with AMQP_TOPOLOGY_MISMATCH if the broker has other declarations, which no retry fixes. */
  fail: (error: Error) => void;
  log: Log;
}

/**
 * Keeps one confirm channel open: builds it when there is a connection, and again when it is lost. It does not use the
 * `recovery.setup` of amqplib, which has four ways to hang or to end the process while it builds (ADR 1).
 */
export abstract class Session<Options extends SessionOptions> implements Component {
  abstract readonly name: string;
  protected readonly options: Options;
  readonly #ending = new AbortController();
  #channel: ConfirmChannel | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: Options) {
    this.options = options;
  }

  /** Prepares a new channel for use, after the topology was declared. */
  protected abstract build(channel: ConfirmChannel): Promise<void> | void;

  /** How often {@link build} is repeated on an open channel. Milliseconds; by default it is not repeated. */
  protected readonly rebuildMs: number | undefined;

  /** Whether the error of a build is normal. The build is then retried every second or two and the error is not logged. */
  protected isWaiting?(error: unknown): boolean;

  /** The channel, after it was built and while it is open. */
  get channel(): ConfirmChannel | undefined {
    return this.#channel;
  }

  start(): void {
    this.#loop = this.#supervise();
  }

  /** Closes the channel. Waits for the broker for at most some seconds, because a broker that hangs does not answer. */
  async stop(signal?: AbortSignal): Promise<void> {
    this.#ending.abort();
    await close(this.#channel);
    if (this.#loop) await settlesWithin(CLOSE_MS, this.#loop, signal);
  }

  /** Closes the channel, which returns its unsettled messages to the broker. The session then builds another one. */
  async release(channel = this.#channel): Promise<void> {
    await close(channel);
  }

  async #supervise(): Promise<void> {
    const signal = this.#ending.signal;
    let delay = FIRST_DELAY_MS;
    while (!signal.aborted) {
      const longest = await this.#run(signal).catch((error: unknown) => this.#report(error));
      delay = Math.min(delay * 2, longest);
      await sleep(delay * (1 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Builds a channel and waits until it is lost. Resolves to the longest pause before the next one. */
  async #run(signal: AbortSignal): Promise<number> {
    const channel = await open(await this.options.connection.connected(signal));
    const closed = new Promise<void>((resolve) => channel.once("close", resolve));
    let reason = new Error("the channel closed while it was built");
    channel.on("error", (error: Error) => {
      reason = error;
      if (this.#channel === channel) {
        this.options.log.warn("channel error", { session: this.name, ...describe(error) });
      }
    });
    try {
      const lost = closed.then(() => Promise.reject(reason));
      const building = declare(channel, this.options.topology).then(() => this.build(channel));
      const built = settlesWithin(BUILD_MS, Promise.race([building, lost]));
      if (!(await built)) throw new Error("the broker did not answer in time");
      if (signal.aborted) return FIRST_DELAY_MS;
      this.#channel = channel;
      this.options.log.debug("channel built", { session: this.name });
      await this.#keep(channel, closed);
      return FIRST_DELAY_MS;
    } finally {
      this.#channel = undefined;
      void close(channel);
    }
  }

  async #keep(channel: ConfirmChannel, closed: Promise<void>): Promise<void> {
    const { rebuildMs } = this;
    if (rebuildMs === undefined) return closed;
    while (!(await settlesWithin(rebuildMs, closed))) {
      await Promise.race([this.build(channel), closed]);
    }
  }

  /** Logs why the channel was not built. Returns the longest pause before the next one is built. */
  #report(cause: unknown): number {
    const { fail, log } = this.options;
    if (this.#ending.signal.aborted) return FIRST_DELAY_MS;
    if (this.isWaiting?.(cause)) return WAITING_DELAY_MS;
    if (codeOf(cause) !== PRECONDITION_FAILED) {
      log.warn("channel not built, retrying", { session: this.name, ...describe(cause) });
      return LAST_DELAY_MS;
    }
    this.#ending.abort();
    const reason = `An exchange or queue exists on the broker with other arguments:\n  ${String(cause)}`;
    fail(new ConfigError("AMQP_TOPOLOGY_MISMATCH", reason, { cause }));
    return LAST_DELAY_MS;
  }
}

async function open(model: ChannelModel): Promise<ConfirmChannel> {
  const opening = model.createConfirmChannel();
  if (await settlesWithin(BUILD_MS, opening)) return opening;
  void opening.then(close, () => undefined);
  throw new Error("the broker did not answer in time");
}

/** Closes a channel, and waits a moment for the broker's answer. amqplib throws if the channel is closed already. */
async function close(channel: ConfirmChannel | undefined): Promise<void> {
  const closing = async () => channel?.close();
  await settlesWithin(CLOSE_MS, closing()).catch(() => undefined);
}
