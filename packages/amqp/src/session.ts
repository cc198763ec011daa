import { setTimeout as sleep } from "node:timers/promises";
import type { ChannelModel, ConfirmChannel } from "amqplib";
import {
  type Component,
  codeOf,
  ConfigError,
  settlesWithin,
  describe,
  type Log,
} from "@wellsent/runtime";
import type { AmqpConnection } from "./connection.ts";
import { declare, type Topology } from "./declare.ts";

/** The pause before another channel is built doubles from the first to the last value, in milliseconds. */
const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 1_500;
/** The last pause while a session waits for its turn, see {@link Session.isWaiting}. */
const WAITING_DELAY_MS = 1_000;
/** A channel that is not built within this time is given up, in milliseconds. */
const BUILD_MS = 15_000;
/** How long the broker may take to close a channel, in milliseconds. */
const CLOSE_MS = 2_000;
/** AMQP 0-9-1 reply code 406: an exchange or queue of ours exists with other arguments. */
const PRECONDITION_FAILED = "406";

/** What every session needs. */
export interface SessionOptions {
  connection: AmqpConnection;
  /** Declared on every new channel, before it is used. */
  topology: Topology;
  /** Called when the topology does not match what exists on the broker, which no retry repairs. */
  fail: (error: Error) => void;
  log: Log;
}

/**
 * Keeps one confirm channel alive: builds it when there is a connection, and again after it was lost. It does not use
 * amqplib's `recovery.setup`, which has four ways to hang or end the process while it builds (ADR 1).
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

  /** Prepares a new channel for use. The topology is declared by then. */
  protected abstract build(channel: ConfirmChannel): Promise<void> | void;

  /** How often {@link build} is repeated on a channel that is open, in milliseconds; never by default. */
  protected readonly againMs: number | undefined;

  /** Whether this reason not to build a channel is normal, so that it is retried every second and not logged. */
  protected isWaiting?(error: unknown): boolean;

  /** The channel, while it is built and open. */
  get channel(): ConfirmChannel | undefined {
    return this.#channel;
  }

  start(): void {
    this.#loop = this.#supervise();
  }

  /** Closes the channel, for at most some seconds: a broker that hangs never closes it. */
  async stop(signal?: AbortSignal): Promise<void> {
    this.#ending.abort();
    await close(this.#channel);
    if (this.#loop) await settlesWithin(CLOSE_MS, this.#loop, signal);
  }

  /** Closes the channel, which returns unsettled messages to the broker. Another channel is built. */
  async release(channel = this.#channel): Promise<void> {
    await close(channel);
  }

  async #supervise(): Promise<void> {
    const signal = this.#ending.signal;
    let delay = FIRST_DELAY_MS;
    while (!signal.aborted) {
      const longest = await this.#live(signal).catch((error: unknown) => this.#explain(error));
      delay = Math.min(delay * 2, longest);
      await sleep(delay * (1 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Builds a channel and waits until it is lost. Resolves to the longest pause before the next one. */
  async #live(signal: AbortSignal): Promise<number> {
    const channel = await open(await this.options.connection.connected(signal));
    const closed = new Promise<void>((resolve) => channel.once("close", resolve));
    let reason = new Error("closed while it was built");
    channel.on("error", (error: Error) => {
      reason = error;
      if (this.#channel === channel)
        this.options.log.warn("channel error", { session: this.name, ...describe(error) });
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
    const { againMs } = this;
    if (againMs === undefined) return closed;
    while (!(await settlesWithin(againMs, closed)))
      await Promise.race([this.build(channel), closed]);
  }

  /** Reports why there is no channel. Returns the longest pause before the next one is built. */
  #explain(cause: unknown): number {
    const { fail, log } = this.options;
    if (this.#ending.signal.aborted) return FIRST_DELAY_MS;
    if (this.isWaiting?.(cause)) return WAITING_DELAY_MS;
    if (codeOf(cause) !== PRECONDITION_FAILED) {
      log.warn("channel not built, trying again", { session: this.name, ...describe(cause) });
      return LAST_DELAY_MS;
    }
    this.#ending.abort();
    const reason = `The broker has an exchange or queue of ours with other arguments:\n  ${String(cause)}`;
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

/** Waits a moment for the broker's answer. amqplib throws when the channel is closed already. */
async function close(channel: ConfirmChannel | undefined): Promise<void> {
  const closing = async () => channel?.close();
  await settlesWithin(CLOSE_MS, closing()).catch(() => undefined);
}
