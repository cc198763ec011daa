import { createLogger, runMain } from "../../src/index.ts";

/** Its second component does not start. */
runMain(() => {
  const log = createLogger("start-fails", { level: "info" });
  const first = {
    name: "first",
    start: () => undefined,
    stop: () => {
      log.info("stop first");
    },
  };
  const second = {
    name: "second",
    start: () => {
      throw Object.assign(new Error("secret"), { code: "EADDRINUSE" });
    },
    stop: () => undefined,
  };
  const third = {
    name: "third",
    start: () => {
      log.info("start third");
    },
    stop: () => undefined,
  };
  return { log, shutdownDeadlineMs: 5_000, components: [first, second, third] };
});
