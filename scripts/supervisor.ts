import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { endPart, startPart, type Program } from "./part.ts";
import { areFree, firstFree, isOwn } from "./ports.ts";

const RESTART_MS = 1_000;
const LOOK_MS = 100;
/** Starts on other ports, after which something else must be wrong. */
const TRIES_MAX = 20;
/** Two starts that compete for a port try another one each, at random. */
const SPREAD = 50;

/** A port that a part listens on: the first one to try, and the offsets of further ports. */
export interface Listener {
  wanted: number;
  offsets?: readonly number[];
}

/** A program that listens on ports, each with a name. */
export interface Part<Name extends string = string> {
  name: string;
  listeners: Record<Name, Listener>;
  /** Returns the program for the ports that were chosen. */
  program: (ports: Record<Name, number>) => Program | Promise<Program>;
  /** Resolves if the part works. */
  isReady: (ports: Record<Name, number>) => Promise<unknown>;
}

/** Options of {@link Supervisor}. */
export interface SupervisorOptions {
  say: (text: string) => void;
  /** Called when a process starts or ends. */
  onChange: () => void;
  /** Called when a part that worked cannot be started again. */
  onFailure: (error: unknown) => void;
}

/** Starts programs on ports that are their own, and starts them again when they end by themselves. */
export class Supervisor {
  readonly running = new Map<string, ChildProcess>();
  readonly #options: SupervisorOptions;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /**
   * Starts a part, on other ports if another program takes them before it. Resolves to the ports when the part works.
   * @throws {Error} when it ends for another reason
   */
  async keep<Name extends string>(part: Part<Name>): Promise<Record<Name, number>> {
    for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
      const ports = await choose(part, attempt === 0 ? 0 : randomInt(SPREAD));
      this.#announce(part, ports);
      const program = await part.program(ports);
      const child = this.#start(part.name, program);
      const state = await this.#settle(part, ports, child, program);
      if (state === "ready") {
        void this.#restart(part.name, program, child).catch(this.#options.onFailure);
        return ports;
      }
      if (state === "ended") throw new Error(`${part.name} did not start: see ${logOf(program)}`);
      this.#options.say(`Another program took a port of ${part.name}; it gets others`);
    }
    throw new Error(`${part.name} found no port of its own in ${TRIES_MAX} attempts.`);
  }

  /** Ends parts in order, after `graceMs` by force. */
  async end(names: readonly string[], graceMs: number): Promise<void> {
    this.#stopping = true;
    const children = names.flatMap((name) => this.running.get(name) ?? []);
    await Promise.all(children.map((child) => endPart(child, graceMs)));
  }

  #announce(part: Part, ports: Record<string, number>): void {
    for (const [name, { wanted }] of Object.entries(part.listeners)) {
      const port = ports[name] ?? wanted;
      if (port !== wanted) this.#options.say(`Port ${wanted} is taken; ${name} gets ${port}`);
    }
  }

  #start(name: string, program: Program): ChildProcess {
    const child = startPart(program);
    this.running.set(name, child);
    this.#options.onChange();
    child.once("exit", () => {
      this.running.delete(name);
      this.#options.onChange();
    });
    return child;
  }

  /** Waits until the part is ready on its own ports, has ended, or shares its ports with another program. */
  async #settle<Name extends string>(
    part: Part<Name>,
    ports: Record<Name, number>,
    child: ChildProcess,
    program: Program,
  ): Promise<"ready" | "ended" | "taken"> {
    const all = allPorts(part, ports);
    const ended = once(child, "exit").then(() => "ended" as const);
    const ready = async () => {
      while (!hasEnded(child)) {
        const answers = await part.isReady(ports).then(
          () => true,
          () => false,
        );
        if (answers) return isOwnOf(child, all, program) ? "ready" : "taken";
        await sleep(LOOK_MS);
      }
      return ended;
    };
    const state = await Promise.race([ready(), ended]);
    if (state === "taken") await endPart(child, RESTART_MS);
    return state === "ended" && !(await areFree(all)) ? "taken" : state;
  }

  async #restart(name: string, program: Program, first: ChildProcess): Promise<void> {
    let child = first;
    for (;;) {
      if (!hasEnded(child)) await once(child, "exit");
      if (this.#stopping) return;
      this.#options.say(`${name} ended by itself; it is started again`);
      await sleep(RESTART_MS);
      child = this.#start(name, program);
    }
  }
}

async function choose<Name extends string>({ listeners }: Part<Name>, beyond: number) {
  const ports: Record<string, number> = {};
  for (const [name, { wanted, offsets }] of Object.entries<Listener>(listeners)) {
    ports[name] = await firstFree(wanted + beyond, offsets);
  }
  return ports as Record<Name, number>;
}

function allPorts({ listeners }: Part, ports: Record<string, number>): number[] {
  return Object.entries(listeners).flatMap(([name, { wanted, offsets = [0] }]) =>
    offsets.map((offset) => (ports[name] ?? wanted) + offset),
  );
}

function isOwnOf({ pid }: ChildProcess, ports: readonly number[], { isRunning }: Program): boolean {
  if (isRunning) return isRunning();
  return pid !== undefined && ports.every((port) => isOwn(port, pid));
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function logOf({ log }: Program): string {
  return log ?? "above";
}
