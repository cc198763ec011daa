import { ConfigError, createLogger, runMain, type Host } from "../../src/index.ts";

const faults: Record<string, (host: Host) => void> = {
  exception: () => {
    throw new Error("secret");
  },
  rejection: () => {
    void Promise.reject(new Error("secret"));
  },
  text: () => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- a library may throw any value
    throw "secret";
  },
  fail: ({ fail }) => {
    fail(new Error("secret"));
  },
  config: ({ fail }) => {
    fail(new ConfigError("SOME_MISMATCH", "Something of ours does not match"));
  },
};

/** Starts, then fails in the way that its argument names. */
runMain((host) => {
  const log = createLogger("fails-later", { level: "info" });
  const handle = setInterval(() => undefined, 1_000);
  const component = {
    name: "component",
    start: () => {
      setTimeout(() => faults[process.argv[2] ?? ""]?.(host), 10);
    },
    stop: () => {
      clearInterval(handle);
      log.info("stop component");
    },
  };
  return { log, shutdownDeadlineMs: 5_000, components: [component] };
});
