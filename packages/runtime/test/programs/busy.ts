import { createLogger, runMain, type Component, type Log } from "../../src/index.ts";

/** Two components, each with a handle that keeps the process alive until it is stopped. */
runMain(() => {
  const log = createLogger("busy", { level: "info" });
  return {
    log,
    shutdownDeadlineMs: 5_000,
    components: [component("first", log), component("second", log)],
  };
});

function component(name: string, log: Log): Component {
  let handle: NodeJS.Timeout | undefined;
  return {
    name,
    start: () => {
      handle = setInterval(() => undefined, 1_000);
      log.info(`start ${name}`);
    },
    stop: () => {
      clearInterval(handle);
      log.info(`stop ${name}`);
    },
  };
}
