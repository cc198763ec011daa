import { setTimeout as sleep } from "node:timers/promises";
import {
  declare,
  describe,
  PublishRefused,
  Session,
  type Check,
  type Component,
  type ConfirmChannel,
  type SessionOptions,
} from "@posthorn/chassis";
import { EMAILER_QUEUE } from "@posthorn/contract";
import type { ApiMetrics } from "./metrics.ts";

/** How often the queue is looked at, how long a look holds, and how often everything is declared again. */
const TIMES = { lookMs: 1_000, staleMs: 5_000, declareMs: 30_000 };

/** Options of {@link Backlog}. */
export interface BacklogOptions extends Omit<SessionOptions, "name"> {
  /** Sends are refused while the queue `emailer` holds this many. */
  emailerQueueMax: number;
  metrics: Pick<ApiMetrics, "queueDepth" | "topologyVerified">;
  times?: typeof TIMES;
}

/**
 * Knows whether an accepted email would reach its queues, and how many wait there. `mandatory` proves only that
 * some queue is bound. Its connection is its own: one that publishes may be blocked, and would not answer then.
 */
export class Backlog implements Component {
  readonly name = "backlog";
  readonly #options: Required<BacklogOptions>;
  readonly #session: Session;
  readonly #ending = new AbortController();
  #everVerified = false;
  #verifiedAt = -Infinity;
  #declaredAt = performance.now();
  #depth = 0;

  constructor(options: BacklogOptions) {
    this.#options = { times: TIMES, ...options };
    this.#session = new Session({ ...options, name: this.name }, (channel) => this.#look(channel));
  }

  /** Unready until the queues were verified once; after that an outage is only named. */
  readonly check: Check = () => {
    const refusal = this.refusal();
    return refusal && { reason: refusal.message, blocks: !this.#everVerified };
  };

  /** Why a send would be refused at this moment. */
  refusal(): PublishRefused | undefined {
    if (performance.now() - this.#verifiedAt > this.#options.times.staleMs)
      return new PublishRefused("TOPOLOGY_UNVERIFIED", "The queues are not verified");
    return this.#depth >= this.#options.emailerQueueMax
      ? new PublishRefused("QUEUE_FULL", "The queue emailer is over its limit")
      : undefined;
  }

  start(): void {
    this.#session.start();
    void this.#watch();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#session.stop();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await sleep(this.#options.times.lookMs, undefined, { signal }).catch(() => undefined);
      const { channel } = this.#session;
      if (channel) await this.#look(channel).catch((error: unknown) => this.#lose(error));
    }
  }

  /** n.b. a queue that is missing closes the channel; the session builds a new one and with it the queue. */
  async #look(channel: ConfirmChannel): Promise<void> {
    const { metrics, times, topology } = this.#options;
    if (performance.now() - this.#declaredAt > times.declareMs) {
      await declare(channel, topology);
      this.#declaredAt = performance.now();
    }
    const { messageCount } = await channel.checkQueue(EMAILER_QUEUE);
    this.#everVerified = true;
    this.#verifiedAt = performance.now();
    this.#depth = messageCount;
    metrics.queueDepth.set(messageCount);
    metrics.topologyVerified.set(1);
  }

  #lose(error: unknown): void {
    if (this.#ending.signal.aborted) return;
    this.#verifiedAt = -Infinity;
    this.#options.metrics.topologyVerified.set(0);
    this.#options.log.warn("queues not verified, refusing sends", describe(error));
  }
}
