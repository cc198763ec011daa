import { Session } from "@wellsent/amqp";
import type { ConfirmChannel, FlowControl, SessionOptions } from "@wellsent/amqp";
import type { Check } from "@wellsent/runtime";
import { PAUSED_QUEUE } from "@wellsent/contract";
import type { EmailerMetrics } from "../metrics.ts";

const LOOK_MS = 1_000;
const HOLDER = "brake";

/** Options of {@link Brake}. */
export interface BrakeOptions extends SessionOptions {
  flow: Pick<FlowControl, "pause" | "resume" | "release">;
  metrics: Pick<EmailerMetrics, "paused">;
}

/**
 * Stops consuming while an operator has paused sending, and gives back what no relay has begun with. The order rests as a
 * message in a queue, so that it reaches every emailer and outlives all of them; while the broker is away, the last one known
 * holds.
 */
export class Brake extends Session<BrakeOptions> {
  readonly name = "brake";
  protected override readonly againMs: number = LOOK_MS;
  #paused: boolean | undefined;

  /** Names the pause; unready until it was looked at once. */
  readonly check: Check = () => {
    if (this.#paused === undefined) return { reason: "brake: not looked at yet", blocks: true };
    return this.#paused ? { reason: "paused by an operator", blocks: false } : undefined;
  };

  /** Nothing is consumed before the first look. */
  override start(): void {
    this.options.flow.pause(HOLDER);
    super.start();
  }

  protected async build(channel: ConfirmChannel): Promise<void> {
    const { messageCount } = await channel.checkQueue(PAUSED_QUEUE);
    const paused = messageCount > 0;
    if (paused === this.#paused) return;
    this.#paused = paused;
    const { flow, metrics, log } = this.options;
    metrics.paused.set(paused ? 1 : 0);
    if (paused) {
      flow.pause(HOLDER);
      flow.release();
    } else flow.resume(HOLDER);
    log.info(paused ? "paused by an operator" : "not paused");
  }
}
