import { setTimeout as sleep } from "node:timers/promises";
import type { ChannelModel, ConfirmChannel } from "amqplib";
import { type Component, codeOf, ConfigError, inTime, describe, type Log } from "@wellsent/runtime";
import type { AmqpConnection } from "./connection.ts";
import { declare, type Topology } from "./declare.ts";

const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 5_000;
/** A channel that is not built by now is given up and built anew. */
const BUILD_MS = 15_000;
const CLOSE_MS = 2_000;
/** AMQP 0-9-1 reply code 406: something of ours exists with other arguments. */
const PRECONDITION_FAILED = "406";

/** Options of {@link Session}. */
export interface SessionOptions {
  connection: AmqpConnection;
  /** Declared on every new channel, before it is used. */
  topology: Topology;
  /** Called with a topology that does not match what the broker has: no waiting mends that. */
  fail: (error: Error) => void;
  log: Log;
}

/**
 * Keeps one confirm channel alive: builds it whenever there is a connection, and anew after it was lost.
 * amqplib's own `recovery.setup` has four ways to hang or die while it builds, so it is not used.
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

  /** Makes use of a new channel, on which the topology was declared. */
  protected abstract build(channel: ConfirmChannel): Promise<void> | void;

  /** How often {@link build} is done again on a channel that lives, in milliseconds; never by default. */
  protected readonly againMs: number | undefined;

  /** The channel, while it is built and open. */
  get channel(): ConfirmChannel | undefined {
    return this.#channel;
  }

  start(): void {
    this.#loop = this.#supervise();
  }

  async stop(signal?: AbortSignal): Promise<void> {
    this.#ending.abort();
    await close(this.#channel);
    // n.b. a broker that is stalled never closes the channel.
    if (this.#loop) await inTime(CLOSE_MS, this.#loop, signal);
  }

  /** Closes a channel of its own, which returns to the broker what is not settled; a new one is built. */
  async release(channel = this.#channel): Promise<void> {
    await close(channel);
  }

  async #supervise(): Promise<void> {
    const signal = this.#ending.signal;
    let delay = FIRST_DELAY_MS;
    while (!signal.aborted) {
      const outlived = await this.#live(signal).catch((error: unknown) => {
        this.#explain(error);
        return false;
      });
      delay = outlived ? FIRST_DELAY_MS : Math.min(delay * 2, LAST_DELAY_MS);
      await sleep(delay * (1 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Builds a channel and resolves to true when it, once usable, was lost. */
  async #live(signal: AbortSignal): Promise<boolean> {
    const channel = await open(await this.options.connection.connected(signal));
    const closed = new Promise<void>((resolve) => channel.once("close", resolve));
    let reason = new Error("closed while it was built");
    channel.on("error", (error: Error) => {
      reason = error;
      this.options.log.warn("channel error", { session: this.name, ...describe(error) });
    });
    try {
      const lost = closed.then(() => Promise.reject(reason));
      const building = declare(channel, this.options.topology).then(() => this.build(channel));
      const built = inTime(BUILD_MS, Promise.race([building, lost]));
      if (!(await built)) throw new Error("the broker did not answer in time");
      if (signal.aborted) return true;
      this.#channel = channel;
      this.options.log.debug("channel built", { session: this.name });
      await this.#keep(channel, closed);
      return true;
    } finally {
      this.#channel = undefined;
      void close(channel);
    }
  }

  async #keep(channel: ConfirmChannel, closed: Promise<void>): Promise<void> {
    const { againMs } = this;
    if (againMs === undefined) return closed;
    while (!(await inTime(againMs, closed))) await Promise.race([this.build(channel), closed]);
  }

  #explain(cause: unknown): void {
    const { fail, log } = this.options;
    if (this.#ending.signal.aborted) return;
    if (codeOf(cause) !== PRECONDITION_FAILED) {
      log.warn("channel not built, trying again", { session: this.name, ...describe(cause) });
      return;
    }
    this.#ending.abort();
    const reason = `The broker has an exchange or queue of ours with other arguments:\n  ${String(cause)}`;
    fail(new ConfigError("AMQP_TOPOLOGY_MISMATCH", reason, { cause }));
  }
}

async function open(model: ChannelModel): Promise<ConfirmChannel> {
  const opening = model.createConfirmChannel();
  if (await inTime(BUILD_MS, opening)) return opening;
  void opening.then(close, () => undefined);
  throw new Error("the broker did not answer in time");
}

/** n.b. `close` throws on a closed channel and settles only on the broker's answer. */
async function close(channel: ConfirmChannel | undefined): Promise<void> {
  const closing = async () => channel?.close();
  await inTime(CLOSE_MS, closing()).catch(() => undefined);
}
