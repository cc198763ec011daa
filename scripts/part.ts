import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";

/** A program to start. */
export interface Program {
  argv: string[];
  env?: NodeJS.ProcessEnv;
  /** The file for its output. Default: the output of this process. */
  log?: string;
  /** A shell command that runs when the program has ended. */
  afterwards?: string;
  /** Returns whether it runs. Only for a program whose ports another process holds, as Docker does. */
  isRunning?: () => boolean;
}

/** Has Linux end a program when the process that starts it is gone, however suddenly. */
export function leashed(argv: string[], signal = "KILL"): string[] {
  return process.platform === "linux" ? ["setpriv", "--pdeathsig", signal, "--", ...argv] : argv;
}

/** Starts a program where a terminal's Ctrl-C does not reach it. When it ends, so does what it has started. */
export function startPart({ argv, env, log, afterwards = "" }: Program): ChildProcess {
  const [command = "", ...args] = argv;
  const output = log ? openSync(log, "a") : "inherit";
  const part = spawn(command, args, { env, detached: true, stdio: ["ignore", output, output] });
  if (typeof output === "number") closeSync(output);
  const rest = `kill -s KILL -- -${part.pid ?? ""}; ${afterwards}`;
  return part.once("exit", () => spawnSync("sh", ["-c", rest]));
}

/** Ends a part in order, after `graceMs` by force. */
export async function endPart(part: ChildProcess, graceMs: number): Promise<void> {
  const force = setTimeout(() => part.kill("SIGKILL"), graceMs);
  part.kill("SIGTERM");
  part.kill("SIGCONT"); // What is stopped hears nothing before this.
  if (part.exitCode === null && part.signalCode === null) await once(part, "exit");
  clearTimeout(force);
}
