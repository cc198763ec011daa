import { createLogger, runMain } from "../../src/index.ts";

const DEADLINE_MS = Number(process.argv[3] ?? 200);

/** Never stops. With the argument `handle` it keeps a handle open, with `nothing` its event loop is empty. */
runMain(() => {
  const log = createLogger("stop-hangs", { level: "info" });
  const handle = setInterval(() => undefined, 1_000);
  const hanging = {
    name: "hanging",
    start: () => undefined,
    stop: () => {
      if (process.argv[2] === "nothing") clearInterval(handle);
      return new Promise<void>(() => undefined);
    },
  };
  return { log, shutdownDeadlineMs: DEADLINE_MS, components: [hanging] };
});
