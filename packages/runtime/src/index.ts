export * from "./config.ts";
export * from "./errors.ts";
export { inTime, TIMER_MAX_MS } from "./in-time.ts";
export { createLifecycle, type Component } from "./lifecycle.ts";
export { createLogger, describe, type Fields, type Log } from "./log.ts";
export { createRegistry, meter } from "./metrics.ts";
export { createMetricsServer, listen, type Check, type Fault } from "./admin-server.ts";
export { createRecent, remember, type Recent } from "./recent.ts";
export { createService, runMain, type Host, type Service } from "./run-main.ts";
