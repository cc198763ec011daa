import { declare, Session, type ConfirmChannel, type SessionOptions } from "@wellsent/amqp";
import { EMAILER_QUEUE, EMAILS_EXCHANGE, LOGGER_QUEUE } from "@wellsent/contract";
import { PublishRefused, type Check } from "@wellsent/runtime";
import type { ApiMetrics } from "../metrics.ts";

/**
 * How often the route of an email is declared and its queues are counted, how long a count is valid, and how often the whole
 * topology is declared. Milliseconds.
 */
const TIMES = { checkMs: 1_000, staleMs: 5_000, declareMs: 30_000 };
/** The assumed average size of an email before the first one, in bytes, and the number of emails in the moving average. */
const ASSUMED_BYTES = 20_000;
const AVERAGED_EMAILS = 200;

/** Options of {@link QueueMonitor}. */
export interface QueueMonitorOptions extends SessionOptions {
  /** Sends are refused while the queue `emailer` has this many messages. */
  emailerQueueMax: number;
  /** Sends are refused while the queues `emailer` and `logger` together have this many bytes, by estimate. */
  queuesMaxBytes: number;
  metrics: Pick<ApiMetrics, "queueBytes" | "queueDepth">;
  times?: typeof TIMES;
}

/**
 * Verifies that an accepted email reaches its queues, and counts the messages there. `mandatory` proves only that one queue is
 * bound. AMQP has no query for bindings, but declaring an existing one changes nothing. So the exchange, both queues and both
 * bindings are declared every second, and a removed binding is missing for one second at most. The monitor has its own
 * connection, because the broker does not answer on a connection that it blocks.
 */
export class QueueMonitor extends Session<QueueMonitorOptions> {
  readonly name = "queue monitor";
  readonly #times = this.options.times ?? TIMES;
  readonly #route = routeOfEmails(this.options.topology);
  protected override readonly rebuildMs: number = this.#times.checkMs;
  #verifiedAt = -Infinity;
  #declaredAt = performance.now();
  #depth = 0;
  #bytes = 0;
  #averageBytes = ASSUMED_BYTES;

  /** Makes the service unready until the queues were verified once. Later outages are only reported. */
  readonly check: Check = () => {
    const refusal = this.refusal();
    return refusal && { reason: refusal.message, blocks: this.#verifiedAt === -Infinity };
  };

  /** Returns why a send would be refused at this moment, or `undefined`. */
  refusal(): PublishRefused | undefined {
    const { emailerQueueMax, queuesMaxBytes } = this.options;
    if (!this.channel || performance.now() - this.#verifiedAt > this.#times.staleMs) {
      return new PublishRefused("TOPOLOGY_UNVERIFIED", "The queues are not verified");
    }
    if (this.#depth >= emailerQueueMax) {
      return new PublishRefused(
        "QUEUE_FULL",
        "The queue emailer has reached its limit of messages",
      );
    }
    if (this.#bytes >= queuesMaxBytes) {
      return new PublishRefused("QUEUE_BYTES_FULL", "The queues have reached their limit of bytes");
    }
    return undefined;
  }

  /** Adds the size of an email to the average. AMQP reports the number of messages in a queue, not their bytes. */
  noteStored(bytes: number): void {
    this.#averageBytes += (bytes - this.#averageBytes) / AVERAGED_EMAILS;
  }

  /** Declares the route and counts the queues. If the broker refuses a command, the session builds another channel. */
  protected async build(channel: ConfirmChannel): Promise<void> {
    if (performance.now() - this.#declaredAt > this.#times.declareMs) {
      await declare(channel, this.options.topology);
      this.#declaredAt = performance.now();
    }
    await declare(channel, this.#route);
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
function routeOfEmails({ exchanges, queues, bindings }: SessionOptions["topology"]) {
  const isQueue = (name: string) => name === EMAILER_QUEUE || name === LOGGER_QUEUE;
  return {
    exchanges: exchanges.filter(({ name }) => name === EMAILS_EXCHANGE),
    queues: queues.filter(({ name }) => isQueue(name)),
    bindings: bindings.filter(
      ({ source, destination }) => source === EMAILS_EXCHANGE && isQueue(destination),
    ),
  };
}
