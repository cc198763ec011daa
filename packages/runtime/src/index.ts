export * from "./config.ts";
export * from "./errors.ts";
export { settlesWithin, TIMER_MAX_MS } from "./settles-within.ts";
export { createLifecycle, type Component } from "./lifecycle.ts";
export { createLogger, describe, type Fields, type Log } from "./log.ts";
export { createRegistry, meter } from "./metrics.ts";
export { createAdminServer, listen, type Check, type Fault } from "./admin-server.ts";
export { remember, SingleFlight } from "./single-flight.ts";
export { createService, runMain, type Host, type Service } from "./run-main.ts";
