import { declare, Session } from "@wellsent/amqp";
import { PublishRefused } from "@wellsent/runtime";
import type { ConfirmChannel, SessionOptions } from "@wellsent/amqp";
import type { Check } from "@wellsent/runtime";
import { EMAILER_QUEUE } from "@wellsent/contract";
import type { ApiMetrics } from "../metrics.ts";

/** How often the queue is looked at, how long a look holds, and how often everything is declared again. */
const TIMES = { lookMs: 1_000, staleMs: 5_000, declareMs: 30_000 };

/** Options of {@link Backlog}. */
export interface BacklogOptions extends SessionOptions {
  /** Sends are refused while the queue `emailer` holds this many. */
  emailerQueueMax: number;
  metrics: Pick<ApiMetrics, "queueDepth">;
  times?: typeof TIMES;
}

/**
 * Knows whether an accepted email would reach its queues, and how many wait there. `mandatory` proves only that
 * some queue is bound. Its connection is its own: one that publishes may be blocked, and would not answer then.
 */
export class Backlog extends Session<BacklogOptions> {
  readonly name = "backlog";
  readonly #times = this.options.times ?? TIMES;
  protected override readonly againMs: number = this.#times.lookMs;
  #verifiedAt = -Infinity;
  #declaredAt = performance.now();
  #depth = 0;

  /** Unready until the queues were verified once; after that an outage is only named. */
  readonly check: Check = () => {
    const refusal = this.refusal();
    return refusal && { reason: refusal.message, blocks: this.#verifiedAt === -Infinity };
  };

  /** Why a send would be refused at this moment. */
  refusal(): PublishRefused | undefined {
    if (!this.channel || performance.now() - this.#verifiedAt > this.#times.staleMs)
      return new PublishRefused("TOPOLOGY_UNVERIFIED", "The queues are not verified");
    return this.#depth >= this.options.emailerQueueMax
      ? new PublishRefused("QUEUE_FULL", "The queue emailer is over its limit")
      : undefined;
  }

  /** n.b. a queue that is missing closes the channel, which is built anew and with it the queue. */
  protected async build(channel: ConfirmChannel): Promise<void> {
    if (performance.now() - this.#declaredAt > this.#times.declareMs) {
      await declare(channel, this.options.topology);
      this.#declaredAt = performance.now();
    }
    const { messageCount } = await channel.checkQueue(EMAILER_QUEUE);
    this.#verifiedAt = performance.now();
    this.#depth = messageCount;
    this.options.metrics.queueDepth.set(messageCount);
  }
}
