import { createLogger, describe, TransientError } from "../../src/index.ts";

/** Logs a line of each level, and errors of every kind, in the format that its argument names. */
const log = createLogger("logs", {
  level: (process.argv[3] ?? "debug") as "debug",
  format: process.argv[2] === "pretty" ? "pretty" : "json",
});
log.debug("a detail");
log.info("an event", { count: 3, flag: true, absent: undefined });
log.warn("a warning", { text: 'quotes " and\nlines' });

const foreign = new TypeError(
  "secret message\n    of secret@example.com\n    at secret@example.com",
);
log.error("foreign", describe(foreign));
log.error("with a cause", describe(new Error("secret", { cause: new Error("secret") })));
log.error("with a code", describe(Object.assign(new Error("secret"), { code: "ECONNREFUSED" })));
log.error("with a number", describe(Object.assign(new Error("secret"), { code: 320 })));
log.error("ours", describe(new TransientError("SOME_CODE", "secret")));
log.error("no error", describe("secret"));
log.error("nothing", describe(undefined));
