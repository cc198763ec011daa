import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, type Log } from "./logger.ts";

/** Something with a lifetime. A `start` that throws has cleaned up after itself. */
export interface Component {
  readonly name: string;
  start(): Promise<void> | void;
  /** Ends it; may be called when it never started. `signal` aborts when the deadline has passed. */
  stop(signal: AbortSignal): Promise<void> | void;
}

/** Starts components in order and stops them in reverse, all under one deadline. */
export class Lifecycle {
  #stopped: Promise<boolean> | undefined;
  readonly #started: Component[] = [];
  readonly #log: Log;
  readonly #deadlineMs: number;

  constructor(log: Log, deadlineMs: number) {
    this.#log = log;
    this.#deadlineMs = deadlineMs;
  }

  /** Starts each component after the one before it has started; stops early when told to stop. */
  async start(components: readonly Component[]): Promise<void> {
    for (const component of components) {
      if (this.#stopped) return;
      this.#started.push(component);
      await component.start();
    }
    if (!this.#stopped) this.#log.info("started");
  }

  /** Stops what was started, newest first. Resolves to whether every component stopped in time. Idempotent. */
  stop(reason: string): Promise<boolean> {
    this.#stopped ??= this.#stopAll(reason);
    return this.#stopped;
  }

  async #stopAll(reason: string): Promise<boolean> {
    this.#log.info("stopping", { reason });
    const late = new AbortController();
    // n.b. not AbortSignal.timeout: an empty event loop would end the process before the deadline, and with 0.
    const deadline = setTimeout(() => late.abort(), this.#deadlineMs);
    let clean = true;
    for (const component of this.#started.toReversed()) {
      clean = (await this.#stopOne(component, late.signal)) && clean;
    }
    clearTimeout(deadline);
    this.#log.info("stopped", { clean });
    return clean;
  }

  async #stopOne(component: Component, signal: AbortSignal): Promise<boolean> {
    try {
      return await Promise.race([
        Promise.resolve(component.stop(signal)).then(() => !signal.aborted),
        passed(signal),
      ]);
    } catch (error) {
      this.#log.error("stop failed", { component: component.name, ...describe(error) });
      return false;
    }
  }
}

/** A component gets a moment after the deadline to close what it holds by force. */
const FORCE_MS = 500;

async function passed(signal: AbortSignal): Promise<false> {
  if (!signal.aborted) await once(signal, "abort");
  await sleep(FORCE_MS);
  return false;
}
