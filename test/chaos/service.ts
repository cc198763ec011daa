import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NODE_FLAGS } from "../../scripts/node-flags.ts";
import { leashed, startPart } from "../../scripts/part.ts";

/** Log messages that tell of an error nobody foresaw. */
const UNFORESEEN =
  /"message":"(failed|delivery not handled|request failed|internal request failed|stop failed|metrics not served)"/;
/** What Node.js and V8 print when a process dies of itself. */
const DYING = /^(node:|FATAL ERROR|Uncaught|\[?\w*Error\b|.*UnhandledPromise)/;

/** Options of a {@link Service}. */
export interface ServiceOptions {
  /** The directory with `services` and `packages`. */
  root: string;
  env: Record<string, string>;
  /** The directory for the file with the service's output. */
  logs: string;
  /** A command that runs the service somewhere else, such as inside a mount namespace. */
  enter: readonly string[];
}

/** One of the system's own processes, which is started again whenever it ends. */
export class Service {
  readonly name: string;
  /** How often it ended without having been killed. */
  endedByItself = 0;
  readonly #argv: string[];
  readonly #env: Record<string, string>;
  readonly #log: string;
  #child: ChildProcess | undefined;
  #killed = false;

  /** `name`: of the service, with a number after it where there are several. */
  constructor(name: string, { root, env, logs, enter }: ServiceOptions) {
    this.name = name;
    const program = join(root, "services", name.replace(/-\d$/, ""), "src/main.ts");
    this.#argv = leashed([...enter, process.execPath, ...NODE_FLAGS, program]);
    this.#env = { PATH: process.env["PATH"] ?? "", TMPDIR: tmpdir(), ...env };
    this.#log = join(logs, `${name}.log`);
  }

  start(): void {
    const child = startPart({ argv: this.#argv, env: this.#env, log: this.#log });
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
