import { setTimeout as sleep } from "node:timers/promises";
import {
  Session,
  type Check,
  type Component,
  type ConfirmChannel,
  type Consumer,
  type SessionOptions,
} from "@posthorn/chassis";
import { PAUSED_QUEUE } from "@posthorn/contract";
import type { EmailerMetrics } from "./metrics.ts";

const LOOK_MS = 1_000;
const HOLDER = "brake";

/** Options of {@link Brake}. */
export interface BrakeOptions extends Omit<SessionOptions, "name"> {
  consumer: Pick<Consumer, "pause" | "resume">;
  metrics: Pick<EmailerMetrics, "paused">;
}

/**
 * Stops consuming while an operator has paused sending. The order rests as a message in a queue, so that it reaches every
 * emailer and outlives all of them; while the broker is away, the last one known holds.
 */
export class Brake implements Component {
  readonly name = "brake";
  readonly #options: BrakeOptions;
  readonly #session: Session;
  readonly #ending = new AbortController();
  #paused: boolean | undefined;

  constructor(options: BrakeOptions) {
    this.#options = options;
    this.#session = new Session({ ...options, name: this.name }, (channel) => this.#look(channel));
  }

  /** Names the pause; unready until it was looked at once. */
  readonly check: Check = () => {
    if (this.#paused === undefined) return { reason: "brake: not looked at yet", blocks: true };
    return this.#paused ? { reason: "paused by an operator", blocks: false } : undefined;
  };

  /** Nothing is consumed before the first look. */
  start(): void {
    this.#options.consumer.pause(HOLDER);
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
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      const { channel } = this.#session;
      // n.b. a channel that fails is built anew, and that is a look.
      if (channel) await this.#look(channel).catch(() => undefined);
    }
  }

  async #look(channel: ConfirmChannel): Promise<void> {
    const { messageCount } = await channel.checkQueue(PAUSED_QUEUE);
    const paused = messageCount > 0;
    if (paused === this.#paused || this.#ending.signal.aborted) return;
    this.#paused = paused;
    const { consumer, metrics, log } = this.#options;
    metrics.paused.set(paused ? 1 : 0);
    if (paused) consumer.pause(HOLDER);
    else consumer.resume(HOLDER);
    log.info(paused ? "paused by an operator" : "not paused");
  }
}
