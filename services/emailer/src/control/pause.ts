import { setTimeout as sleep } from "node:timers/promises";
import {
  Session,
  type ConfirmChannel,
  type FlowControl,
  type SessionOptions,
} from "@wellsent/amqp";
import { PAUSED_QUEUE } from "@wellsent/contract";
import type { Check } from "@wellsent/runtime";
import type { EmailerMetrics } from "../metrics.ts";

/** How often the broker is asked whether sending is paused, in milliseconds. */
const LOOK_MS = 1_000;
/** How long a mail waits for the end of a pause, in milliseconds; then its message goes one rung down the ladder. */
const HELD_MS = 600_000;
const HOLDER = "operator";

/** What {@link Pause} needs. */
export interface PauseOptions extends SessionOptions {
  flow: Pick<FlowControl, "pause" | "resume">;
  metrics: Pick<EmailerMetrics, "paused">;
}

/**
 * The operator's pause. While it lasts, nothing is consumed, and mails that no relay has begun with wait. The order is a
 * message in a queue, so that every emailer sees it and it outlives all of them; while the broker is away, the last known
 * order is kept.
 */
export class Pause extends Session<PauseOptions> {
  readonly name = "pause";
  protected override readonly rebuildMs: number = LOOK_MS;
  #paused: boolean | undefined;
  /** Aborts when the present pause ends. */
  #resumed = new AbortController();

  /** Names the pause; unready until the broker has been asked once. */
  readonly check: Check = () => {
    if (this.#paused === undefined) return { reason: "pause: not looked at yet", blocks: true };
    return this.#paused ? { reason: "paused by an operator", blocks: false } : undefined;
  };

  /** Nothing is consumed before the first look. */
  override start(): void {
    this.options.flow.pause(HOLDER);
    super.start();
  }

  /**
   * Waits for the end of a pause, at most ten minutes. Resolves to whether sending goes on.
   * @throws {Error} AbortError when the signal aborts
   */
  async over(signal: AbortSignal): Promise<boolean> {
    if (this.#paused) {
      const either = AbortSignal.any([signal, this.#resumed.signal]);
      await sleep(HELD_MS, undefined, { signal: either }).catch(() => undefined);
      signal.throwIfAborted();
    }
    return !this.#paused;
  }

  protected async build(channel: ConfirmChannel): Promise<void> {
    const { messageCount } = await channel.checkQueue(PAUSED_QUEUE);
    const paused = messageCount > 0;
    if (paused === this.#paused) return;
    this.#paused = paused;
    const { flow, metrics, log } = this.options;
    metrics.paused.set(paused ? 1 : 0);
    if (paused) {
      this.#resumed = new AbortController();
      flow.pause(HOLDER);
    } else {
      this.#resumed.abort();
      flow.resume(HOLDER);
    }
    log.info(paused ? "paused by an operator" : "not paused");
  }
}
