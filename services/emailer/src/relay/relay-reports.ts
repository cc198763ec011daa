import type { Trouble } from "./classify.ts";
import type { RelayContext } from "./relay-context.ts";

type Gauge = "authRefused" | "circuitOpen" | "refusingAll" | "relaySlow";
const GAUGES: readonly Gauge[] = ["authRefused", "circuitOpen", "refusingAll", "relaySlow"];

/** Reports the state of one relay in the log and in the gauges. */
export class RelayReports {
  readonly #relay: string;
  readonly #metrics: RelayContext["metrics"];
  readonly #log: RelayContext["log"];

  /** Sets every gauge to 0. `relay` is the relay's name. */
  constructor(relay: string, { metrics, log }: Pick<RelayContext, "metrics" | "log">) {
    this.#relay = relay;
    this.#metrics = metrics;
    this.#log = log;
    for (const gauge of GAUGES) this.#show(gauge, false);
  }

  /** The circuit opened. `reason` quotes no reply. */
  down(reason: string): void {
    this.#show("circuitOpen", true);
    this.#log.warn("relay down: no mail is sent to it", { relay: this.#relay, reason });
  }

  /** The circuit closed. */
  recovered(): void {
    this.#show("circuitOpen", false);
    this.#show("authRefused", false);
    this.#log.info("relay recovered", { relay: this.#relay });
  }

  /** A mail or a probe met trouble. */
  trouble({ authRefused }: Trouble): void {
    this.#show("authRefused", authRefused);
  }

  /** Whether the relay refuses nearly all mail. */
  refusingAll(isOn: boolean): void {
    this.#show("refusingAll", isOn);
  }

  /** Whether every connection waits for a reply. */
  slow(isOn: boolean): void {
    this.#show("relaySlow", isOn);
    if (!isOn) return;
    this.#log.warn("relay slow: every connection waits for a reply", { relay: this.#relay });
  }

  /** Starts to measure how long a mail takes at the relay. Returns the function that ends it. */
  timeSend(): () => void {
    return this.#metrics.sendSeconds.startTimer({ relay: this.#relay });
  }

  #show(gauge: Gauge, isOn: boolean): void {
    this.#metrics[gauge].set({ relay: this.#relay }, isOn ? 1 : 0);
  }
}
