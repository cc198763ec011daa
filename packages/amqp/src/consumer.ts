import { setTimeout as sleep } from "node:timers/promises";
import type { ConfirmChannel, ConsumeMessage, MessageProperties } from "amqplib";
import { inTime, describe, type Check } from "@wellsent/runtime";
import type { AmqpMetrics } from "./metrics.ts";
import { Session, type SessionOptions } from "./session.ts";

/** How long the broker may take to answer a cancel before draining goes on without it. */
const CANCEL_MS = 2_000;

/**
 * What becomes of a delivery: `ack` removes the message, `reject` dead-letters it where its queue says,
 * `leave` settles nothing, so that the broker takes it back when the channel closes.
 */
export type Settlement = "ack" | "reject" | "leave";

/** One handing over of a message by the broker. */
export interface Delivery {
  queue: string;
  /** The exchange that the message came to the queue by; "" when it was dead-lettered there directly. */
  exchange: string;
  body: Buffer;
  properties: MessageProperties;
  redelivered: boolean;
  /** The broker's version, such as `4.3.6`: what it counts in headers differs. */
  brokerVersion: string;
  /** Aborts when the channel is lost: the broker hands the message over again, and nobody settles this delivery. */
  signal: AbortSignal;
}

/** Options of {@link Consumer}. */
export interface ConsumerOptions extends SessionOptions {
  queues: readonly string[];
  /**
   * Makes a new channel's broker ready, after the topology was declared and before anything is consumed. Resolves to
   * further queues to consume.
   */
  prepare?: (channel: ConfirmChannel) => Promise<readonly string[]>;
  /** Most deliveries in flight over all queues. Each queue gets an equal share, at least one. */
  budget: number;
  /** Handles one delivery. What it throws is a fault of ours: logged, and rejected. */
  handle: (delivery: Delivery) => Promise<Settlement>;
  metrics: AmqpMetrics;
}

/** A channel that consumes, or could. */
interface Live {
  channel: ConfirmChannel;
  queues: readonly string[];
  tags: string[];
  signal: AbortSignal;
}

/** Consumes from queues and settles each delivery on the channel that delivered it. */
export class Consumer extends Session<ConsumerOptions> {
  readonly name = "consumer";
  #live: Live | undefined;
  /** Who wants it paused: it consumes again when nobody does. */
  readonly #holds = new Set<string>();
  #turn: Promise<void> = Promise.resolve();
  #inFlight = 0;

  /** Unready while nothing is consumed, unless that was asked for with {@link pause}. */
  readonly check: Check = () =>
    this.channel || this.paused ? undefined : { reason: "not consuming", blocks: true };

  /** Drains: takes nothing more, finishes and settles what is in flight, closes. */
  override async stop(signal: AbortSignal): Promise<void> {
    this.pause("stopping");
    await inTime(CANCEL_MS, this.#turn);
    while (this.#inFlight > 0 && !signal.aborted) await sleep(20);
    await super.stop(signal);
  }

  /** Whether anybody holds it. */
  get paused(): boolean {
    return this.#holds.size > 0;
  }

  /** Takes no further deliveries until the same holder resumes; what is in flight goes on. */
  pause(holder = ""): void {
    this.#holds.add(holder);
    void this.#next((live) => this.#cancel(live));
  }

  /** Consumes again, when nobody else holds it: as many deliveries as the budget, whatever is in flight from before. */
  resume(holder = ""): void {
    this.#holds.delete(holder);
    void this.#next((live) => this.#consume(live));
  }

  /** n.b. `basic.qos(global)` means "per consumer" to a quorum queue, so the budget is shared out here. */
  protected async build(channel: ConfirmChannel): Promise<void> {
    const { budget, prepare } = this.options;
    const queues = [...this.options.queues, ...((await prepare?.(channel)) ?? [])];
    await channel.prefetch(Math.max(1, Math.floor(budget / queues.length)));
    const lost = new AbortController();
    channel.once("close", () => lost.abort());
    this.#live = { channel, queues, tags: [], signal: lost.signal };
    await this.#next((live) => this.#consume(live));
    lost.signal.throwIfAborted();
  }

  /**
   * One change at a time, so that pausing and building never consume twice.
   * n.b. what the broker refuses closes the channel, and a new one is built.
   */
  #next(change: (live: Live) => Promise<void>): Promise<void> {
    const make = async () => {
      if (this.#live?.signal.aborted === false) await change(this.#live);
    };
    this.#turn = this.#turn.then(make).catch(() => undefined);
    return this.#turn;
  }

  async #cancel({ channel, tags }: Live): Promise<void> {
    for (const tag of tags.splice(0)) await channel.cancel(tag);
  }

  async #consume(live: Live): Promise<void> {
    if (this.paused || live.tags.length > 0) return;
    for (const queue of live.queues) {
      const take = (message: ConsumeMessage | null) => this.#take(live, queue, message);
      const { consumerTag } = await live.channel.consume(queue, take);
      live.tags.push(consumerTag);
    }
  }

  #take(live: Live, queue: string, message: ConsumeMessage | null): void {
    // null: the broker cancelled us (queue deleted, consumer timeout). Nothing may be settled on this channel any more.
    if (message) void this.#handle(live, queue, message);
    // n.b. this may come while the channel is still being built.
    else void this.release(live.channel);
  }

  async #handle({ channel, signal }: Live, queue: string, message: ConsumeMessage): Promise<void> {
    const { handle, metrics, log } = this.options;
    metrics.deliveriesInFlight.set(++this.#inFlight);
    const { content: body, properties, fields } = message;
    const { exchange, redelivered } = fields;
    const brokerVersion = channel.connection.serverProperties.version;
    const delivery = { queue, exchange, body, properties, redelivered, brokerVersion, signal };
    const handled = Promise.resolve(delivery).then(handle);
    const settlement = await handled.catch((error: unknown): Settlement => {
      if (!signal.aborted) log.error("delivery not handled", { queue, ...describe(error) });
      return "reject";
    });
    let settled: Settlement | "lost" = signal.aborted ? "lost" : settlement;
    try {
      if (settled === "ack") channel.ack(message);
      else if (settled === "reject") channel.reject(message, false);
    } catch {
      // n.b. a message must be settled on the channel that delivered it; on a closed one it throws.
      settled = "lost";
    }
    metrics.deliveries.inc({ queue, settled });
    metrics.deliveriesInFlight.set(--this.#inFlight);
  }
}
