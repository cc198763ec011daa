import { createLogger, runMain } from "../../src/index.ts";

const DEADLINE_MS = Number(process.argv[3] ?? 200);

/** Never stops; `handle`: and keeps a handle open, `nothing`: and leaves the event loop empty. */
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
