import { ConfigError, runMain } from "../../src/index.ts";

/** Fails in its build: with a ConfigError if its argument is `config`, otherwise with another error. */
runMain(() => {
  if (process.argv[2] === "config") {
    throw new ConfigError("CONFIG_INVALID", "Configuration:\n  SOME_VARIABLE: is required");
  }
  throw new Error("a fault while building");
});
