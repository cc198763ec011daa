import { ConfigError, runMain } from "../../src/index.ts";

/** Cannot be built: `config` because of its configuration, else because of a fault. */
runMain(() => {
  if (process.argv[2] === "config") {
    throw new ConfigError("CONFIG_INVALID", "Configuration:\n  SOME_VARIABLE: is required");
  }
  throw new Error("a fault while building");
});
