import { settlesWithin } from "./settles-within.ts";
import { describe, type Log } from "./log.ts";

/** A component gets a moment after the deadline to close what it holds by force. */
const FORCE_MS = 500;

/** Something with a lifetime. A `start` that throws has cleaned up after itself. */
export interface Component {
  readonly name: string;
  /** Absent where there is nothing to begin. */
  start?(): Promise<void> | void;
  /** Ends it; may be called when it never started. `signal` aborts when the deadline has passed. */
  stop(signal: AbortSignal): Promise<void> | void;
}

/** Starts components in order and stops them in reverse, all under one deadline. */
export function createLifecycle(log: Log, deadlineMs: number) {
  const started: Component[] = [];
  let stopped: Promise<boolean> | undefined;
  const stopAll = async (reason: string): Promise<boolean> => {
    log.info("stopping", { reason });
    const late = AbortSignal.timeout(deadlineMs);
    const endsAt = performance.now() + deadlineMs;
    let clean = true;
    for (const component of started.toReversed()) {
      const leftMs = Math.max(0, endsAt - performance.now());
      const stopping = async () => component.stop(late);
      // n.b. its timer keeps an event loop that is empty from ending the process before the deadline, and with 0.
      const ended = await settlesWithin(leftMs + FORCE_MS, stopping()).catch((error: unknown) => {
        log.error("stop failed", { component: component.name, ...describe(error) });
        return false;
      });
      clean &&= ended && !late.aborted;
    }
    log.info("stopped", { clean });
    return clean;
  };
  return {
    /** Starts each component after the one before it has started; stops early when told to stop. */
    async start(components: readonly Component[]): Promise<void> {
      for (const component of components) {
        if (stopped) return;
        started.push(component);
        await component.start?.();
      }
      if (!stopped) log.info("started");
    },
    /** Stops what was started, newest first. Resolves to whether every component stopped in time. Idempotent. */
    stop: (reason: string): Promise<boolean> => (stopped ??= stopAll(reason)),
  };
}
