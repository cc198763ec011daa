import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const PACKAGE = join(process.cwd(), "packages/runtime");
const NODE = join(process.cwd(), "node_modules/.bin/node");

/** The exit status and the output of a program. */
export interface Ended {
  /** The exit status; null if a signal killed the program. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A program of test/programs that runs as a service does: its own process, ES modules, types stripped. */
export interface Program {
  kill: ChildProcess["kill"];
  /** Resolves when it has logged this message. */
  logged: (message: string) => Promise<void>;
  ended: Promise<Ended>;
}

/** Starts a program of test/programs by its name. */
export function runProgram(name: string, ...args: string[]): Program {
  const child = spawn(NODE, [join(PACKAGE, "test/programs", `${name}.ts`), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { TMPDIR: tmpdir() },
    timeout: 30_000,
    killSignal: "SIGKILL",
  });
  let seen = "";
  child.stdout.on("data", (chunk: Buffer) => {
    seen += chunk.toString();
  });
  const outputs = Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return {
    kill: (signal) => child.kill(signal),
    ended: outputs.then(([stdout, stderr]) => ({ code: child.exitCode, stdout, stderr })),
    logged: async (message) => {
      while (!seen.includes(`"message":"${message}"`)) await once(child.stdout, "data");
    },
  };
}

/** The lines of a JSON log. */
export function linesOf(stdout: string): Record<string, unknown>[] {
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The messages of a JSON log, in order. */
export function messagesOf(stdout: string): unknown[] {
  return linesOf(stdout).map(({ message }) => message);
}
