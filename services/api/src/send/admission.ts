import { setTimeout as sleep } from "node:timers/promises";
import type { RequestHandler } from "@wellsent/http";
import type { PublishRefused } from "@wellsent/runtime";
import type { ApiMetrics } from "../metrics.ts";

/** Reasons to refuse that clear up within seconds during a broker failover. */
const FAILOVER_CODES: readonly string[] = ["AMQP_DISCONNECTED", "TOPOLOGY_UNVERIFIED"];
/** Sends that have waited also wait for a free place in the publish window. */
const CODES_AFTER_WAIT = [...FAILOVER_CODES, "AMQP_WINDOW_FULL"];
/** How often a waiting send checks the refusal. Milliseconds. */
const CHECK_MS = 50;

/** Options of {@link createAdmission}. */
export interface AdmissionOptions {
  /** Returns why a send would be refused at this moment, or `undefined`. */
  refusal: () => PublishRefused | undefined;
  /** How long a send waits during a broker failover. Milliseconds. */
  patienceMs: number;
  metrics: Pick<ApiMetrics, "waiting">;
}

/** Decides whether a send is accepted for publishing. */
export type Admission = ReturnType<typeof createAdmission>;

/**
 * Creates the admission of sends. Every 503 before publishing is decided here or by the body reader (`BODIES_FULL`), whose
 * memory also bounds the sends that wait; a 503 after publishing is the publisher's error.
 *
 * | refusal                                          | before the body is read | after it was validated                    |
 * | ------------------------------------------------ | ----------------------- | ----------------------------------------- |
 * | `AMQP_DISCONNECTED`, `TOPOLOGY_UNVERIFIED`       | continue                | wait up to `patienceMs`, then refuse      |
 * | `AMQP_WINDOW_FULL`                               | refuse                  | refuse; wait on if the send waited before |
 * | `AMQP_BLOCKED`, `QUEUE_FULL`, `QUEUE_BYTES_FULL` | refuse                  | refuse                                    |
 */
export function createAdmission({ refusal, patienceMs, metrics }: AdmissionOptions) {
  /** Refuses a send unless the refusal may clear up within seconds. */
  const refuseAtOnce: RequestHandler = (_request, _response, next) => {
    const refused = refusal();
    if (refused && !FAILOVER_CODES.includes(refused.code)) throw refused;
    next();
  };
  /** Waits during a failover. Resolves to the reason to refuse the send, or to nothing if it may be published now. */
  const wait = async (isGone: () => boolean): Promise<PublishRefused | undefined> => {
    const until = performance.now() + patienceMs;
    const isPassing = (codes: readonly string[]) =>
      codes.includes(refusal()?.code ?? "") && performance.now() < until && !isGone();
    if (!isPassing(FAILOVER_CODES)) return refusal();
    metrics.waiting.inc();
    while (isPassing(CODES_AFTER_WAIT)) await sleep(CHECK_MS);
    metrics.waiting.dec();
    return refusal();
  };
  return { refuseAtOnce, wait };
}
