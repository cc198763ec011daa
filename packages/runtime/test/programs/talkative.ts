import { createLogger, runMain } from "../../src/index.ts";

const LINES = Number(process.argv[2]);

/** Logs many lines when it stops, so that some are still in the pipe when it ends. */
runMain(() => {
  const log = createLogger("talkative", { level: "info" });
  const handle = setInterval(() => undefined, 1_000);
  const component = {
    name: "component",
    start: () => undefined,
    stop: () => {
      clearInterval(handle);
      for (let line = 0; line < LINES; line++) log.info("line", { line });
    },
  };
  return { log, shutdownDeadlineMs: 5_000, components: [component] };
});
