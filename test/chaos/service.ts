import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_FLAGS } from "../../scripts/node-flags.ts";
import { leashed, startPart } from "../../scripts/part.ts";

/** Log messages that tell of an error nobody foresaw. */
const UNFORESEEN =
  /"message":"(failed|delivery not handled|request failed|internal request failed|stop failed|metrics not served)"/;
/** What Node.js and V8 print when a process dies of itself. */
const DYING = /^(node:|FATAL ERROR|Uncaught|\[?\w*Error\b|.*UnhandledPromise)/;

/** One of the system's own processes, which is started again whenever it ends. */
export class Service {
  readonly name: string;
  /** How often it ended without having been killed. */
  endedByItself = 0;
  readonly #program: string;
  readonly #env: Record<string, string>;
  readonly #log: string;
  #child: ChildProcess | undefined;
  #killed = false;

  /** `root`: where the sources are; what it prints goes to a file in `logs`. */
  constructor(name: string, root: string, env: Record<string, string>, logs: string) {
    this.name = name;
    // Of several, each has a number.
    this.#program = join(root, "services", name.replace(/-\d$/, ""), "src/main.ts");
    this.#env = env;
    this.#log = join(logs, `${name}.log`);
  }

  start(): void {
    const argv = leashed([process.execPath, ...NODE_FLAGS, this.#program]);
    const env = { PATH: process.env["PATH"] ?? "", ...this.#env };
    const child = startPart({ argv, env, log: this.#log });
    this.#killed = false;
    this.#child = child;
    child.once("exit", () => {
      if (this.#killed) return;
      this.endedByItself += 1;
      this.start();
    });
  }

  /** SIGSTOP, SIGCONT. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  /** Resolves when it is gone; it stays away until it is started. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    this.#killed = true;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** What it printed of errors that nobody foresaw. */
  uncaught(): string[] {
    const lines = readFileSync(this.#log, "utf8").split("\n");
    return lines.filter((line) => UNFORESEEN.test(line) || DYING.test(line));
  }
}
