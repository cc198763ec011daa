import { runMain } from "../../src/index.ts";

/** Stops in time and leaves a handle behind. */
runMain(({ createLog }) => {
  setInterval(() => undefined, 1_000);
  return { log: createLog("leaks", { level: "info" }), shutdownDeadlineMs: 5_000, components: [] };
});
