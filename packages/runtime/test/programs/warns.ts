import { EventEmitter } from "node:events";
import { createLogger, runMain } from "../../src/index.ts";

/** Emits two warnings: one of Node, about too many listeners, and one of a library. */
runMain(() => ({
  log: createLogger("warns", { format: "json" }),
  shutdownDeadlineMs: 5_000,
  components: [
    {
      name: "only",
      start() {
        const emitter = new EventEmitter();
        for (let listener = 0; listener < 11; listener += 1) emitter.on("event", () => listener);
        process.emitWarning("secret", { type: "LibraryWarning", code: "LIB001" });
      },
      stop: () => undefined,
    },
  ],
}));
