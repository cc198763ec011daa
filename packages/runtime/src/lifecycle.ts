import { settlesWithin } from "./settles-within.ts";
import { describe, type Log } from "./log.ts";

/** How long a component may take to close its resources by force after the deadline. Milliseconds. */
const FORCE_MS = 500;

/** A part of a service that is started and stopped. A `start` that throws releases its resources first. */
export interface Component {
  readonly name: string;
  /** Absent if there is nothing to start. */
  start?(): Promise<void> | void;
  /** Stops the component, even if it was never started. `signal` aborts when the deadline has passed. */
  stop(signal: AbortSignal): Promise<void> | void;
}

/** Starts components in order and stops them in reverse order. One deadline applies to the whole stop. Milliseconds. */
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
      // The timer of settlesWithin() keeps the process alive. An empty event loop would end it early, with status 0.
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
    /** Starts each component after the one before it has started. Starts no more components once `stop` is called. */
    async start(components: readonly Component[]): Promise<void> {
      for (const component of components) {
        if (stopped) return;
        started.push(component);
        await component.start?.();
      }
      if (!stopped) log.info("started");
    },
    /** Stops the started components, newest first. Resolves to whether all stopped in time. Further calls have no effect. */
    stop: (reason: string): Promise<boolean> => {
      stopped ??= stopAll(reason);
      return stopped;
    },
  };
}
