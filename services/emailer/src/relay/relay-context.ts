import type { Log } from "@wellsent/runtime";
import type { EmailerMetrics } from "../metrics.ts";
import type { Timeouts } from "./timeouts.ts";

/** What every relay needs. */
export interface RelayContext {
  timeouts: Timeouts;
  /** Aborts when there is nothing more to send. It ends the probes. */
  ending: AbortSignal;
  /** Whether mail would be sent at once to another relay than the named one. */
  hasAlternative: (name: string) => boolean;
  /** Called when a relay may have a place again, and at each change of the circuit and of whether it is slow. */
  onChange: () => void;
  metrics: Pick<
    EmailerMetrics,
    "authRefused" | "circuitOpen" | "refusingAll" | "relaySlow" | "sendSeconds"
  >;
  log: Log;
}
