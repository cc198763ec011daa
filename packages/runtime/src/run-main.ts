import type { CommonConfig, Env } from "./config.ts";
import { ConfigError, codeOf } from "./errors.ts";
import { createLifecycle, type Component } from "./lifecycle.ts";
import { createLogger, describe, type Log } from "./log.ts";
import { createRegistry } from "./metrics.ts";
import { createAdminServer, type Check } from "./admin-server.ts";

/** EX_CONFIG of sysexits.h: the configuration is invalid, and a restart does not fix it. */
const EXIT_CONFIG = 78;
/** How long a leaked handle may keep the process alive after all components have stopped. Milliseconds. */
const LINGER_MS = 1_000;

/** The process, as its composition root sees it. */
export interface Host {
  env: Env;
  /** Stops all components and ends the process, because of an error that no retry fixes. */
  fail: (error: Error) => void;
}

/** The result of a composition root. Components are started from left to right and stopped from right to left. */
export interface Program {
  log: Log;
  shutdownDeadlineMs: number;
  components: readonly Component[];
}

/**
 * Runs a service: builds it, starts it, and stops it on SIGTERM or SIGINT.
 * Exit status: 0 if it stopped in time, 1 if it did not or after an unexpected error, 78 if the configuration is invalid.
 * A second signal ends the process at once.
 */
export function runMain(build: (host: Host) => Program): void {
  // If the reader of our output closes the pipe, the write error must not end the service. It cannot be logged either.
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
    // process.exit() loses log lines that are still in the pipe, so it is only called if a leaked handle keeps the process alive.
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
  // The default listener of Node would print text between the JSON lines of the log. The message of a warning may quote a secret.
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

/** The parts that all services share. */
export type Service = ReturnType<typeof createService>;

/** Creates the log and the metrics registry of a service. */
export function createService(name: string, config: CommonConfig, host: Host) {
  const log = createLogger(name, config.log);
  const registry = createRegistry(name);
  return {
    name,
    log,
    registry,
    fail: host.fail,
    /** Adds the metrics port, which is started first and stopped last. */
    program: (checks: readonly Check[], components: readonly Component[]): Program => {
      const adminServer = createAdminServer({ ...config.metrics, registry, checks, log });
      const { shutdownDeadlineMs } = config;
      return { log, shutdownDeadlineMs, components: [adminServer, ...components] };
    },
  };
}
