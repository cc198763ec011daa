import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { basename, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Open } from "../src/audit/file.ts";

/** A call to the disk that a test takes out. */
export type Skipped = "datasync" | "sync" | undefined;

/** A process with access to the disk; once it is not alive, nothing that it has begun ends. */
export interface Life {
  readonly directory: string;
  readonly open: Open;
  alive: boolean;
}

/**
 * A disk with one directory that forgets, at a power cut, whatever was not synced: bytes without `fdatasync`, and names
 * without a sync of their directory. The files under `directory` are what the page cache shows, and survive a SIGKILL.
 */
export class ForgetfulDisk {
  directory: string;
  readonly #parent: string;
  readonly #skipped: Skipped;
  readonly #random: () => number;
  /** What is on the platter: contents by name, and the names that lead there. */
  #synced = new Map<string, Buffer>();
  #names = new Set<string>();
  #cuts = 0;

  /** `random` decides how much of what was not synced happens to be there all the same. */
  constructor(parent: string, random: () => number, skipped?: Skipped) {
    this.#parent = parent;
    this.#random = random;
    this.#skipped = skipped;
    this.directory = mkdtempSync(join(parent, "disk-"));
  }

  /** A process with access to the disk, until it ends. */
  begin(): Life {
    const life = { alive: true };
    const assertAlive = () => {
      if (!life.alive) throw Object.assign(new Error("the process is dead"), { code: "EDEAD" });
    };
    const opened: Open = async (...[path, flags, mode]) => {
      assertAlive();
      return this.#watch(await open(path, flags, mode), String(path), assertAlive);
    };
    return Object.assign(life, { directory: this.directory, open: opened });
  }

  /** Cuts the power. Afterwards `directory` is another one, which has what the disk remembers. */
  cut(): void {
    const before = this.directory;
    this.directory = join(this.#parent, `${basename(before)}-${++this.#cuts}`);
    mkdirSync(this.directory);
    for (const name of this.#names) {
      const path = join(before, name);
      const survived = this.#remembered(this.#synced.get(name) ?? Buffer.alloc(0), cached(path));
      writeFileSync(join(this.directory, name), survived);
      this.#synced.set(name, survived);
    }
  }

  /** The synced bytes, and perhaps some of the others: a kernel may have written them, or only the file's new length. */
  #remembered(synced: Buffer, current: Buffer): Buffer {
    const more = current.subarray(synced.length);
    const kept = more.subarray(0, Math.floor(this.#random() * (more.length + 1)));
    const rest = [Buffer.alloc(0), kept, Buffer.alloc(kept.length)];
    return Buffer.concat([synced, rest[Math.floor(this.#random() * rest.length)] ?? kept]);
  }

  #watch(handle: FileHandle, path: string, assertAlive: () => void): FileHandle {
    const watched = async <T>(work: () => Promise<T>) => {
      assertAlive();
      const result = await work();
      assertAlive();
      return result;
    };
    const append = handle.appendFile.bind(handle);
    const truncate = handle.truncate.bind(handle);
    handle.appendFile = (...args) => watched(() => append(...args));
    handle.truncate = (...args) => watched(() => truncate(...args));
    handle.datasync = () => watched(() => this.#sync("datasync", () => this.#syncFile(path)));
    handle.sync = () => watched(() => this.#sync("sync", () => this.#syncNames(path)));
    return handle;
  }

  /** n.b. what is written while a sync is under way is not part of it, and a cut in its midst undoes it. */
  async #sync(call: Skipped, begin: () => () => void): Promise<void> {
    const before = this.directory;
    const finish = begin();
    await nextTurn();
    await nextTurn();
    if (call !== this.#skipped && before === this.directory) finish();
  }

  #syncFile(path: string): () => void {
    const bytes = cached(path);
    return () => this.#synced.set(basename(path), bytes);
  }

  #syncNames(directory: string): () => void {
    const names = readdirSync(directory);
    return () => (this.#names = new Set(names));
  }
}

function cached(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
