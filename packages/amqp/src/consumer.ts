import { setTimeout as sleep } from "node:timers/promises";
import type { ConfirmChannel, ConsumeMessage } from "amqplib";
import { describe, settlesWithin, type Check } from "@wellsent/runtime";
import { ByteBudget } from "./byte-budget.ts";
import { ConsumerLock } from "./consumer-lock.ts";
import type { ConsumerOptions } from "./consumer-options.ts";
import { settle, type Delivery, type Settlement } from "./delivery.ts";
import { isPrefetchOff, shareOf } from "./prefetch.ts";
import { Session } from "./session.ts";

/** How long a drain waits for the broker's answer to a cancel, in milliseconds. */
const CANCEL_MS = 2_000;

const NO_BYTES = Buffer.alloc(0);

/** A channel and the consumers on it. */
interface Live {
  channel: ConfirmChannel;
  queues: readonly string[];
  /** The tags of the consumers; empty while paused. */
  tags: string[];
  /** Most unsettled messages of each queue. */
  prefetch: number;
  /** Whether it is paused because the byte budget is used up. */
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
  readonly #lock: ConsumerLock | undefined;

  constructor(options: ConsumerOptions) {
    super(options);
    this.#bytes = new ByteBudget(options.budgetBytes);
    this.#lock = options.lock && new ConsumerLock(options.lock, options.log);
    options.flow.subscribe({
      onPause: () => void this.#pause(),
      onResume: () => void this.#change((live) => this.#consume(live)),
      onRelease: () => void this.release(),
    });
  }

  /** Makes the service unready while another consumer holds the lock, and while there is no channel, except in a pause. */
  readonly check: Check = () => {
    const heldReason = this.#lock?.heldReason;
    if (heldReason !== undefined) return { reason: heldReason, blocks: true };
    return this.channel || !this.#wanted ? undefined : { reason: "not consuming", blocks: true };
  };

  /** Stops consuming, waits until the messages in flight are settled, and closes the channel. */
  override async stop(signal: AbortSignal): Promise<void> {
    this.#stopping = true;
    await settlesWithin(CANCEL_MS, this.#pause());
    while (this.#inFlight > 0 && !signal.aborted) await sleep(20);
    await super.stop(signal);
  }

  /** Whether messages should be consumed. */
  get #wanted(): boolean {
    return !this.#stopping && !this.options.flow.paused;
  }

  readonly #pause = (): Promise<void> => this.#change((live) => this.#cancel(live));

  protected async build(channel: ConfirmChannel): Promise<void> {
    const { prepare } = this.options;
    await this.#lock?.acquire(channel);
    const further = (await prepare?.(channel)) ?? [];
    const queues = [...this.options.queues, ...further];
    const lost = new AbortController();
    channel.once("close", () => lost.abort());
    this.#live = { channel, queues, tags: [], prefetch: 0, isFull: false, signal: lost.signal };
    await this.#change((live) => this.#consume(live));
    lost.signal.throwIfAborted();
  }

  /** While another connection holds the lock, the session tries again every second or two. */
  protected override isWaiting(error: unknown): boolean {
    return this.#lock?.noteRefusal(error) ?? false;
  }

  /**
   * Makes one change at a time, so that a resume during a build does not consume twice. If the broker refuses a change, it
   * closes the channel, and the session builds a new one.
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
   * Consumes as many messages as the budgets allow. Messages still in flight from before a pause count in the byte budget
   * only. Each queue has a share, because quorum queues do not support a prefetch for the whole channel.
   */
  async #consume(live: Live): Promise<void> {
    if (!this.#wanted || live.tags.length > 0) return;
    live.isFull = this.#bytes.isFull;
    if (live.isFull) return;
    const { channel, queues } = live;
    live.prefetch = this.#bytes.fits(queues.length, shareOf(this.options.budget, queues.length));
    await channel.prefetch(live.prefetch);
    for (const queue of queues) {
      const receive = (message: ConsumeMessage | null) => this.#receive(live, queue, message);
      const { consumerTag } = await channel.consume(queue, receive);
      live.tags.push(consumerTag);
    }
  }

  /** Consumes with another prefetch, or pauses, when the bytes in flight or the sizes of messages require it. */
  #adjust(): void {
    const live = this.#live;
    if (!live || this.#adjusting || !this.#wanted || !this.#isPrefetchOff(live)) return;
    this.#adjusting = true;
    void this.#change(async () => {
      await this.#cancel(live);
      await this.#consume(live);
    }).finally(() => {
      this.#adjusting = false;
    });
  }

  #isPrefetchOff({ queues: { length }, tags, prefetch, isFull }: Live): boolean {
    const now = { queues: length, consuming: tags.length, prefetch, isFull };
    return isPrefetchOff(now, this.#bytes, shareOf(this.options.budget, length));
  }

  /** The broker sends null when it cancels a consumer: its queue was deleted, or a message was unsettled for too long. */
  #receive(live: Live, queue: string, message: ConsumeMessage | null): void {
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

  /** Only the delivery references the body, so dropping it there releases its memory. */
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
    this.#bytes.add(body.length);
    this.#showBytes();
    return delivery;
  }

  #showBytes(): void {
    this.options.metrics.deliveryBytesInFlight.set(this.#bytes.inFlight);
    this.#adjust();
  }
}
