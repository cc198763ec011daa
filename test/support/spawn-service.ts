import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NODE_FLAGS } from "../../scripts/node-flags.ts";
import { leashed } from "../../scripts/part.ts";
import { waitFor } from "@wellsent/testing";

/** Tests and benchmarks run from the repository's root. */
const ROOT = process.cwd();
const PINNED = join(ROOT, "node_modules/.bin/node");
/** Node 24: the pinned one where the registry has it, else the one that runs the tests. */
const NODE = existsSync(PINNED) ? PINNED : process.execPath;

/** The directory of the services' bundles, one folder each, where benchmarks measure what the images run. */
const BUNDLES = process.env["BUNDLES"];

/** A service as a process of its own. */
export interface Service {
  process: ChildProcess;
  /** Base URL of its metrics port. */
  admin: string;
  /** Everything it printed. */
  output(): string;
  /** The port that a log line with this message names. */
  port(message: string): Promise<number>;
  ready(deadlineMs?: number): Promise<void>;
  metric(name: string): Promise<number>;
  /** Sends the signal and resolves to the exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

/**
 * Starts a service from its sources, on ports that the system chooses. It ends with this process at the latest.
 * `enter`: a command that runs the service somewhere else, such as inside a mount namespace.
 */
export async function spawnService(
  name: string,
  env: Record<string, string>,
  enter: readonly string[] = [],
): Promise<Service> {
  const child = spawnProgram(name, { METRICS_PORT: "0", METRICS_HOST: "127.0.0.1", ...env }, enter);
  child.unref();
  const chunks: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => chunks.push(text));
    (stream as unknown as { unref(): void }).unref();
  }
  const output = () => chunks.join("");
  const port = (message: string) =>
    waitFor(`${name} says "${message}"\n${output()}`, () => portIn(output(), message));
  const admin = `http://127.0.0.1:${await port("metrics port listens")}`;
  return {
    process: child,
    admin,
    output,
    port,
    ready: async (deadlineMs) => {
      await waitFor(
        `${name} is ready\n${output()}`,
        async () => (await fetch(`${admin}/readyz`)).ok,
        deadlineMs,
      );
    },
    metric: async (metric) => sum(await (await fetch(`${admin}/metrics`)).text(), metric),
    end: (signal) => end(child, signal),
  };
}

/** Starts a service that is expected to refuse to run; resolves to its exit code and what it printed. */
export async function spawnToExit(
  name: string,
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  const child = spawnProgram(name, env, []);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  const [code] = (await once(child, "exit")) as [number | null];
  return { code, output };
}

function spawnProgram(name: string, env: Record<string, string>, enter: readonly string[]) {
  const main = BUNDLES
    ? join(BUNDLES, name, "main.cjs")
    : join(ROOT, "services", name, "src/main.ts");
  const program = [NODE, ...NODE_FLAGS, main];
  const [command = "", ...args] = leashed([...enter, ...program]);
  const inherited = { PATH: process.env["PATH"] ?? "", TMPDIR: tmpdir() };
  return spawn(command, args, {
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return child.exitCode ?? child.signalCode ?? 0;
  }
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  child.kill(signal);
  const [code, by] = await exited;
  return code ?? by ?? 0;
}

function portIn(output: string, message: string): number | undefined {
  for (const line of output.split("\n")) {
    if (!line.includes(`"${message}"`)) continue;
    const { port } = JSON.parse(line) as { port?: number };
    if (port) return port;
  }
  return undefined;
}

/** The sum over all labels of a metric in Prometheus' text format. */
function sum(text: string, metric: string): number {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0);
}
