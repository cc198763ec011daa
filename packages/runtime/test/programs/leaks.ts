import { createLogger, runMain } from "../../src/index.ts";

/** Stops in time and leaves a handle behind. */
runMain(() => {
  setInterval(() => undefined, 1_000);
  return {
    log: createLogger("leaks", { level: "info" }),
    shutdownDeadlineMs: 5_000,
    components: [],
  };
});
