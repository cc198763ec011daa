import { setTimeout as sleep } from "node:timers/promises";
import type { ConfirmChannel, ConsumeMessage, MessageProperties } from "amqplib";
import { codeOf, settlesWithin, describe, type Check } from "@wellsent/runtime";
import { ByteBudget } from "./byte-budget.ts";
import type { FlowControl } from "./flow-control.ts";
import type { AmqpMetrics } from "./metrics.ts";
import { Session, type SessionOptions } from "./session.ts";

/** How long a drain waits for the broker's answer to a cancel, in milliseconds. */
const CANCEL_MS = 2_000;
/** AMQP 0-9-1 reply code 405: the queue is exclusive to another connection. */
const RESOURCE_LOCKED = "405";

/**
 * How a message is settled: `ack` removes it, `reject` dead-letters it as its queue says, `leave` settles nothing, so
 * that the broker takes it back when the channel closes.
 */
export type Settlement = "ack" | "reject" | "leave";

const NO_BYTES = Buffer.alloc(0);

/** A message as the broker delivered it. */
export interface Delivery {
  queue: string;
  /** The exchange that routed the message to the queue; "" when the message was dead-lettered there directly. */
  exchange: string;
  /** Empty after {@link dropBody}. */
  body: Buffer;
  properties: MessageProperties;
  redelivered: boolean;
  /** The broker's version, such as `4.3.6`; versions differ in what they count in headers. */
  brokerVersion: string;
  /** Aborts when the channel is lost. The broker then delivers the message again, and this delivery is not settled. */
  signal: AbortSignal;
  /** Lets go of the body, so that it takes no memory until the message is settled. */
  dropBody: () => void;
}

/**
 * Makes a consumer the only one of its kind, for as long as its connection lives. The lock is an exclusive queue that the
 * connection owns: quorum queues ignore the `exclusive` flag of `basic.consume`, and do not tell a consumer of a
 * single-active-consumer queue whether it is the active one.
 */
export interface ConsumerLock {
  /** The exclusive queue's name; nothing is published to it. */
  queue: string;
  /** The reason in readiness while another connection holds the lock. */
  heldReason: string;
}

/** Options of {@link Consumer}; the queues must be in the topology, or come from `prepare`. */
export interface ConsumerOptions extends SessionOptions {
  queues: readonly string[];
  /**
   * Runs on each new channel after the topology is declared and before consuming begins. Resolves to further queues to
   * consume.
   */
  prepare?: (channel: ConfirmChannel) => Promise<readonly string[]>;
  /** Most messages in flight over all queues. Each queue gets an equal share, at least one. */
  budget: number;
  /** Bytes of bodies in flight at which no more messages are consumed; also bounds each queue's share. */
  budgetBytes: number;
  /** Handles one message. If it throws, the error is logged and the message rejected. */
  handle: (delivery: Delivery) => Promise<Settlement>;
  /** Decides when the consumer consumes. */
  flow: FlowControl;
  /** Without one, any number of consumers share the queues. */
  lock?: ConsumerLock;
  metrics: AmqpMetrics;
}

/** A channel with its consumers. It has no tags while the consumer is paused. */
interface Live {
  channel: ConfirmChannel;
  queues: readonly string[];
  tags: string[];
  /** Messages that each consumer may have unsettled. */
  prefetch: number;
  /** Whether it does not consume because the budget of bytes is used up. */
  isFull: boolean;
  signal: AbortSignal;
}

/** Consumes from queues and settles each message on the channel that delivered it. */
export class Consumer extends Session<ConsumerOptions> {
  readonly name = "consumer";
  #live: Live | undefined;
  #changing: Promise<void> = Promise.resolve();
  readonly #bytes: ByteBudget;
  #inFlight = 0;
  #adjusting = false;
  #stopping = false;
  #isLockedOut = false;

  constructor(options: ConsumerOptions) {
    super(options);
    this.#bytes = new ByteBudget(options.budgetBytes);
    options.flow.subscribe({
      onPause: () => void this.#pause(),
      onResume: () => void this.#change((live) => this.#consume(live)),
      onRelease: () => void this.release(),
    });
  }

  /** Unready while it has no channel, unless it is paused, and while another consumer holds the lock. */
  readonly check: Check = () => {
    const { lock } = this.options;
    if (lock && this.#isLockedOut) return { reason: lock.heldReason, blocks: true };
    return this.channel || !this.#wanted ? undefined : { reason: "not consuming", blocks: true };
  };

  /** Drains: takes no more messages, settles those in flight, closes the channel. */
  override async stop(signal: AbortSignal): Promise<void> {
    this.#stopping = true;
    await settlesWithin(CANCEL_MS, this.#pause());
    while (this.#inFlight > 0 && !signal.aborted) await sleep(20);
    await super.stop(signal);
  }

  /** Whether messages are to be consumed. */
  get #wanted(): boolean {
    return !this.#stopping && !this.options.flow.paused;
  }

  #pause(): Promise<void> {
    return this.#change((live) => this.#cancel(live));
  }

  protected async build(channel: ConfirmChannel): Promise<void> {
    const { prepare } = this.options;
    await this.#takeLock(channel);
    const queues = [...this.options.queues, ...((await prepare?.(channel)) ?? [])];
    const lost = new AbortController();
    channel.once("close", () => lost.abort());
    this.#live = { channel, queues, tags: [], prefetch: 0, isFull: false, signal: lost.signal };
    await this.#change((live) => this.#consume(live));
    lost.signal.throwIfAborted();
  }

  async #takeLock(channel: ConfirmChannel): Promise<void> {
    const { lock, log } = this.options;
    if (!lock) return;
    const classic = { "x-queue-type": "classic" };
    await channel.assertQueue(lock.queue, { exclusive: true, durable: false, arguments: classic });
    if (this.#isLockedOut) log.info("consuming: the other consumer is gone", { lock: lock.queue });
    this.#isLockedOut = false;
  }

  /** Another connection holds the lock: try again every second or two, and log it once. */
  protected override isWaiting(error: unknown): boolean {
    const { lock, log } = this.options;
    if (!lock || codeOf(error) !== RESOURCE_LOCKED) return false;
    if (!this.#isLockedOut) log.warn(`waiting: ${lock.heldReason}`, { lock: lock.queue });
    this.#isLockedOut = true;
    return true;
  }

  /**
   * Makes one change at a time, so that a resume during a build never consumes twice. If the broker refuses a change, it
   * closes the channel, and a new one is built.
   */
  #change(change: (live: Live) => Promise<void>): Promise<void> {
    const make = async () => {
      if (this.#live?.signal.aborted === false) await change(this.#live);
    };
    this.#changing = this.#changing.then(make).catch(() => undefined);
    return this.#changing;
  }

  async #cancel({ channel, tags }: Live): Promise<void> {
    for (const tag of tags.splice(0)) await channel.cancel(tag);
  }

  /**
   * Consumes up to the whole budget, whatever is still in flight from before a pause, as far as its bytes leave room.
   * The budget is shared out, because `basic.qos` with `global` means "per consumer" to a quorum queue.
   */
  async #consume(live: Live): Promise<void> {
    if (!this.#wanted || live.tags.length > 0) return;
    live.isFull = this.#bytes.isFull;
    if (live.isFull) return;
    const { channel, queues } = live;
    live.prefetch = this.#bytes.fits(queues.length, this.#shareOf(live));
    await channel.prefetch(live.prefetch);
    for (const queue of queues) {
      const take = (message: ConsumeMessage | null) => this.#take(live, queue, message);
      const { consumerTag } = await channel.consume(queue, take);
      live.tags.push(consumerTag);
    }
  }

  #shareOf({ queues }: Live): number {
    return Math.max(1, Math.floor(this.options.budget / queues.length));
  }

  /** Consumes with another prefetch, or not at all, when the bytes in flight or the sizes of messages call for it. */
  #adjust(): void {
    const live = this.#live;
    if (!live || this.#adjusting || !this.#wanted || !this.#isOff(live)) return;
    this.#adjusting = true;
    void this.#change(async () => {
      await this.#cancel(live);
      await this.#consume(live);
    }).finally(() => (this.#adjusting = false));
  }

  /** Whether the prefetch is far from the one that fits. It rises only while half of the bytes are free. */
  #isOff(live: Live): boolean {
    const bytes = this.#bytes;
    if (live.isFull) return bytes.isHalfFree;
    const { length } = live.queues;
    if (live.tags.length < length) return false;
    const share = this.#shareOf(live);
    const fits = bytes.fits(length, share);
    if (bytes.isFull || live.prefetch > 2 * bytes.fitsAtMost(length, share)) return true;
    const isRise = fits > live.prefetch && (fits >= 2 * live.prefetch || fits === share);
    return isRise && bytes.isHalfFree;
  }

  /** The broker sends null when it cancels a consumer: its queue was deleted, or a message was held for too long. */
  #take(live: Live, queue: string, message: ConsumeMessage | null): void {
    if (message) void this.#handle(live, queue, message);
    else void this.release(live.channel);
  }

  async #handle(live: Live, queue: string, message: ConsumeMessage): Promise<void> {
    const { metrics } = this.options;
    const { channel, signal } = live;
    const { deliveryTag } = message.fields;
    this.#count(1);
    const delivery = this.#toDelivery(live, queue, message);
    const settlement = await this.#settlementOf(delivery);
    delivery.dropBody();
    const settled = signal.aborted ? "lost" : settle(channel, deliveryTag, settlement);
    this.#count(-1);
    metrics.deliveries.inc({ queue, settled });
  }

  #count(change: number): void {
    this.#inFlight += change;
    this.options.metrics.deliveriesInFlight.set(this.#inFlight);
  }

  async #settlementOf(delivery: Delivery): Promise<Settlement> {
    const { handle, log } = this.options;
    const { queue, signal } = delivery;
    try {
      return await handle(delivery);
    } catch (error) {
      if (!signal.aborted) log.error("delivery not handled", { queue, ...describe(error) });
      return "reject";
    }
  }

  /** The delivery is all that holds the body. */
  #toDelivery({ channel, signal }: Live, queue: string, message: ConsumeMessage): Delivery {
    const { content: body, properties, fields } = message;
    const { exchange, redelivered } = fields;
    const brokerVersion = channel.connection.serverProperties.version;
    const delivery: Delivery = {
      ...{ queue, exchange, body, properties, redelivered, brokerVersion, signal },
      dropBody: () => {
        const { length } = delivery.body;
        delivery.body = NO_BYTES;
        this.#bytes.free(length);
        this.#showBytes();
      },
    };
    this.#bytes.take(body.length);
    this.#showBytes();
    return delivery;
  }

  #showBytes(): void {
    this.options.metrics.deliveryBytesInFlight.set(this.#bytes.inFlight);
    this.#adjust();
  }
}

/** Settles a message on its own channel, which throws when it has closed. amqplib reads only the tag of a message. */
function settle(
  channel: ConfirmChannel,
  deliveryTag: number,
  settlement: Settlement,
): Settlement | "lost" {
  const message = { fields: { deliveryTag } } as ConsumeMessage;
  try {
    if (settlement === "ack") channel.ack(message);
    else if (settlement === "reject") channel.reject(message, false);
    return settlement;
  } catch {
    return "lost";
  }
}
