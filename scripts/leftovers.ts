import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PREFIX = "wellsent-run-";
/** The kernel unmounts and reaps within moments after the last process ended. */
const SETTLE_MS = 10_000;
const PAUSE_MS = 100;
/** A broker by its port, and what belongs to a Compose project or to the tests of the images. */
const DOCKER_NAME = /^wellsent-(\d+$|test-)/;

/**
 * Watches what a run of the tests makes: everything that it makes for a while lies in, or knows the path of, a directory
 * that becomes its TMPDIR. So what is left afterwards can be told from what else is on the machine.
 */
export class Leftovers {
  /** The TMPDIR for everything that the run starts. */
  readonly directory: string;
  readonly #before: ReadonlySet<string>;
  readonly #settleMs: number;

  /** Makes the directory, and removes those of earlier runs that were killed. `settleMs`: how long to wait for what ends. */
  constructor(settleMs = SETTLE_MS) {
    sweep();
    this.#settleMs = settleMs;
    this.directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    this.#before = new Set([...changedFiles(), ...inDocker()]);
  }

  /** Resolves to one line for each thing that is left, and removes the directory. */
  async collect(): Promise<string[]> {
    const deadline = Date.now() + this.#settleMs;
    while (this.#find().length > 0 && Date.now() < deadline) await sleep(PAUSE_MS);
    const left = this.#find();
    if (left.length === 0) rmSync(this.directory, { recursive: true });
    return left;
  }

  #find(): string[] {
    const isNew = (thing: string) => !this.#before.has(thing);
    return [
      ...readdirSync(this.directory).map((name) => `file ${join(this.directory, name)}`),
      ...[...changedFiles(), ...inDocker()].filter(isNew),
      ...linesWith(this.directory, "/proc/self/mountinfo").map((line) => `mount ${line}`),
      ...loopDevicesOf(this.directory),
      ...processesOf(this.directory),
    ];
  }
}

/** Removes the directories whose process does not run any more: it was killed before it could. */
function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(PREFIX))) {
    const pid = name.slice(PREFIX.length).split("-")[0] ?? "";
    if (!isRunning(Number(pid))) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Files that git sees as changed or new, ignored ones included; empty outside of a git checkout. */
function changedFiles(): string[] {
  const git = ["status", "--porcelain", "--ignored"];
  const { status, stdout } = spawnSync("git", git, { encoding: "utf8" });
  const lines = status === 0 ? stdout.split("\n").filter(Boolean) : [];
  return lines.map((line) => `file in the checkout ${line.slice("?? ".length)}`);
}

function loopDevicesOf(directory: string): string[] {
  if (!existsSync("/sys/block")) return [];
  const loops = readdirSync("/sys/block").filter((name) => name.startsWith("loop"));
  const isOurs = (name: string) =>
    linesWith(directory, `/sys/block/${name}/loop/backing_file`).length > 0;
  return loops.filter(isOurs).map((name) => `loop device ${name}`);
}

/** Processes that have the directory in their environment, arguments or working directory. */
function processesOf(directory: string): string[] {
  if (!existsSync("/proc/self/environ")) return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids
    .filter((pid) => pid !== String(process.pid) && knows(pid, directory))
    .map((pid) => `process ${pid} ${readText(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`);
}

function knows(pid: string, directory: string): boolean {
  const texts = ["environ", "cmdline"].map((name) => readText(`/proc/${pid}/${name}`));
  return [...texts, linkOf(`/proc/${pid}/cwd`)].some((text) => text.includes(directory));
}

/** Containers, networks and volumes with the names that tests give. Another run beside this one has such too. */
function inDocker(): string[] {
  const kinds = {
    container: ["ps", "--all", "--format={{.Names}}"],
    network: ["network", "ls", "--format={{.Name}}"],
    volume: ["volume", "ls", "--format={{.Name}}"],
  };
  return Object.entries(kinds).flatMap(([kind, command]) => {
    const names = String(spawnSync("docker", command).stdout).split("\n");
    return names.filter((name) => DOCKER_NAME.test(name)).map((name) => `${kind} ${name}`);
  });
}

function linesWith(text: string, file: string): string[] {
  return readText(file)
    .split("\n")
    .filter((line) => line.includes(text));
}

/** The text of a file that may go at any moment, as those of /proc do. */
function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
