import { declare, Session } from "@wellsent/amqp";
import { PublishRefused } from "@wellsent/runtime";
import type { ConfirmChannel, SessionOptions } from "@wellsent/amqp";
import type { Check } from "@wellsent/runtime";
import { EMAILER_QUEUE, EMAILS_EXCHANGE, LOGGER_QUEUE } from "@wellsent/contract";
import type { ApiMetrics } from "../metrics.ts";

/**
 * In milliseconds: how often the way of an email is declared and its queues are counted, how long a count is trusted, and how
 * often the whole topology is declared.
 */
const TIMES = { lookMs: 1_000, staleMs: 5_000, declareMs: 30_000 };
/** The average size of an email before any was accepted, in bytes, and how many emails replace it. */
const ASSUMED_BYTES = 20_000;
const AVERAGED_EMAILS = 200;

/** Options of {@link QueueMonitor}. */
export interface QueueMonitorOptions extends SessionOptions {
  /** Sends are refused while the queue `emailer` holds this many messages. */
  emailerQueueMax: number;
  /** Sends are refused while the queues `emailer` and `logger` together hold this many bytes, by estimate. */
  queuesMaxBytes: number;
  metrics: Pick<ApiMetrics, "queueBytes" | "queueDepth">;
  times?: typeof TIMES;
}

/**
 * Verifies that an accepted email reaches its queues, and counts what waits there. `mandatory` proves only that one queue is
 * bound. AMQP cannot ask for a binding, but declaring one that exists changes nothing: so the exchange, both queues and both
 * bindings are declared every second, and a binding that somebody removed is missing for no longer. It has a connection of its
 * own, because the broker does not answer on a connection that it blocks.
 */
export class QueueMonitor extends Session<QueueMonitorOptions> {
  readonly name = "queue monitor";
  readonly #times = this.options.times ?? TIMES;
  readonly #way = wayOfEmails(this.options.topology);
  protected override readonly rebuildMs: number = this.#times.lookMs;
  #verifiedAt = -Infinity;
  #declaredAt = performance.now();
  #depth = 0;
  #bytes = 0;
  #averageBytes = ASSUMED_BYTES;

  /** Unready until the queues were verified once; after that an outage is only named. */
  readonly check: Check = () => {
    const refusal = this.refusal();
    return refusal && { reason: refusal.message, blocks: this.#verifiedAt === -Infinity };
  };

  /** Returns why a send would be refused at this moment, or `undefined`. */
  refusal(): PublishRefused | undefined {
    const { emailerQueueMax, queuesMaxBytes } = this.options;
    if (!this.channel || performance.now() - this.#verifiedAt > this.#times.staleMs)
      return new PublishRefused("TOPOLOGY_UNVERIFIED", "The queues are not verified");
    if (this.#depth >= emailerQueueMax)
      return new PublishRefused("QUEUE_FULL", "The queue emailer is over its limit");
    if (this.#bytes >= queuesMaxBytes)
      return new PublishRefused("QUEUE_BYTES_FULL", "The queues are over their limit of bytes");
    return undefined;
  }

  /** Counts an email of this size into the average. AMQP tells how many messages a queue holds, not how many bytes. */
  noteStored(bytes: number): void {
    this.#averageBytes += (bytes - this.#averageBytes) / AVERAGED_EMAILS;
  }

  /** Declares and counts. What the broker refuses closes the channel, and another one is built with all queues. */
  protected async build(channel: ConfirmChannel): Promise<void> {
    if (performance.now() - this.#declaredAt > this.#times.declareMs) {
      await declare(channel, this.options.topology);
      this.#declaredAt = performance.now();
    }
    await declare(channel, this.#way);
    const emailer = await channel.checkQueue(EMAILER_QUEUE);
    const logger = await channel.checkQueue(LOGGER_QUEUE);
    this.#verifiedAt = performance.now();
    this.#depth = emailer.messageCount;
    this.#bytes = (emailer.messageCount + logger.messageCount) * this.#averageBytes;
    this.options.metrics.queueDepth.set(this.#depth);
    this.options.metrics.queueBytes.set(this.#bytes);
  }
}

/** The part of the topology that an accepted email needs. */
function wayOfEmails({ exchanges, queues, bindings }: SessionOptions["topology"]) {
  const isQueue = (name: string) => name === EMAILER_QUEUE || name === LOGGER_QUEUE;
  return {
    exchanges: exchanges.filter(({ name }) => name === EMAILS_EXCHANGE),
    queues: queues.filter(({ name }) => isQueue(name)),
    bindings: bindings.filter(
      ({ source, destination }) => source === EMAILS_EXCHANGE && isQueue(destination),
    ),
  };
}
