import type { CommonConfig, Env } from "./config.ts";
import { ConfigError, codeOf } from "./errors.ts";
import { createLifecycle, type Component } from "./lifecycle.ts";
import { createLogger, describe, type Log } from "./log.ts";
import { createRegistry } from "./metrics.ts";
import { createAdminServer, type Check } from "./admin-server.ts";

/** EX_CONFIG of sysexits.h: configuration is wrong and a restart will not mend it. */
const EXIT_CONFIG = 78;
/** A handle that leaks may hold the process this long after everything has stopped. */
const LINGER_MS = 1_000;

/** What the composition root is handed. */
export interface Host {
  env: Env;
  /** Ends the process in order because of a fault that no waiting mends. */
  fail: (error: Error) => void;
}

/** What a composition root builds. Components are started left to right and stopped right to left. */
export interface Program {
  log: Log;
  shutdownDeadlineMs: number;
  components: readonly Component[];
}

/**
 * Runs a service: builds it, starts it, and stops it on SIGTERM or SIGINT.
 * Exit status: 0 stopped in time, 1 not in time or an unexpected error, 78 configuration.
 * A second signal ends the process at once.
 */
export function runMain(build: (host: Host) => Program): void {
  // A reader of our output that goes away must neither end the service nor be reported into the closed pipe, over and over.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);
  let fail = refuse;
  try {
    fail = run(build({ env: process.env, fail: (error) => fail(error) }));
  } catch (error) {
    refuse(error);
  }
}

function run({ log, shutdownDeadlineMs, components }: Program): (error: unknown) => void {
  const lifecycle = createLifecycle(log, shutdownDeadlineMs);
  const end = async (reason: string): Promise<void> => {
    const clean = await lifecycle.stop(reason);
    process.exitCode ??= clean ? 0 : 1;
    // process.exit() would cut off log lines still in the pipe, so only a leaked handle meets it.
    setTimeout(() => process.exit(), LINGER_MS).unref();
  };
  const fail = (error: unknown): void => {
    if (error instanceof ConfigError) process.stderr.write(`${error.message}\n`);
    log.error("failed", describe(error));
    process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : 1;
    void end(codeOf(error));
  };
  let signalled = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signalled) process.exit(1);
    signalled = true;
    void end(signal);
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  process.on("uncaughtException", fail).on("unhandledRejection", fail);
  // Node's own listener would print text between the JSON lines of the log. A warning's message may quote a secret.
  process.removeAllListeners("warning");
  process.on("warning", (warning) => log.warn("Node warning", describe(warning)));
  lifecycle.start(components).catch(fail);
  return fail;
}

function refuse(error: unknown): void {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = EXIT_CONFIG;
}

/** The parts that every service has. */
export type Service = ReturnType<typeof createService>;

/** Creates a service's log, its registry and its metrics port. */
export function createService(name: string, config: CommonConfig, host: Host) {
  const log = createLogger(name, config.log);
  const registry = createRegistry(name);
  return {
    name,
    log,
    registry,
    fail: host.fail,
    /** The whole service. The metrics port comes first and goes last. */
    program: (checks: readonly Check[], components: readonly Component[]): Program => {
      const adminServer = createAdminServer({ ...config.metrics, registry, checks, log });
      const { shutdownDeadlineMs } = config;
      return { log, shutdownDeadlineMs, components: [adminServer, ...components] };
    },
  };
}
