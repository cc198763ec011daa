import { setTimeout as sleep } from "node:timers/promises";
import type { RequestHandler } from "@wellsent/http";
import type { PublishRefused } from "@wellsent/runtime";
import type { ApiMetrics } from "../metrics.ts";

/** Reasons to refuse that clear up within seconds during a broker failover. */
const PASSING: readonly string[] = ["AMQP_DISCONNECTED", "TOPOLOGY_UNVERIFIED"];
/** Sends that have waited are published one after the other, as the publish window lets them. */
const PASSING_AFTER_WAIT = [...PASSING, "AMQP_WINDOW_FULL"];
const LOOK_MS = 50;

/** What admission needs. */
export interface AdmissionOptions {
  /** Returns why nothing would be accepted at this moment, or `undefined`. */
  refusal: () => PublishRefused | undefined;
  /** How long a send waits for a broker that changes nodes, in milliseconds. */
  patienceMs: number;
  metrics: Pick<ApiMetrics, "waiting">;
}

/** Decides whether a send is accepted for publishing. */
export type Admission = ReturnType<typeof createAdmission>;

/**
 * Creates the admission of sends. Every 503 before publishing is decided here or by the body reader (`BODIES_FULL`), whose
 * memory also bounds the sends that wait; a 503 after publishing is the publisher's error.
 *
 * | refusal                                    | before the body is read | after it was validated                   |
 * | ------------------------------------------ | ----------------------- | ---------------------------------------- |
 * | `AMQP_DISCONNECTED`, `TOPOLOGY_UNVERIFIED` | continue                | wait up to `patienceMs`, then refuse      |
 * | `AMQP_WINDOW_FULL`                         | refuse                  | refuse; wait on if the send waited before |
 * | `AMQP_BLOCKED`, `QUEUE_FULL`               | refuse                  | refuse                                   |
 */
export function createAdmission({ refusal, patienceMs, metrics }: AdmissionOptions) {
  /** Refuses a send that no waiting helps. */
  const refuseAtOnce: RequestHandler = (_request, _response, next) => {
    const refused = refusal();
    if (refused && !PASSING.includes(refused.code)) throw refused;
    next();
  };
  /** Waits out a failover. Resolves to the reason to refuse, or to nothing when the send may be published at once. */
  const wait = async (isGone: () => boolean): Promise<PublishRefused | undefined> => {
    const until = performance.now() + patienceMs;
    const isPassing = (codes: readonly string[]) =>
      codes.includes(refusal()?.code ?? "") && performance.now() < until && !isGone();
    if (!isPassing(PASSING)) return refusal();
    metrics.waiting.inc();
    while (isPassing(PASSING_AFTER_WAIT)) await sleep(LOOK_MS);
    metrics.waiting.dec();
    return refusal();
  };
  return { refuseAtOnce, wait };
}
