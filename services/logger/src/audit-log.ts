import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, type Log } from "@posthorn/chassis";
import { AuditFile, type Open } from "./audit-file.ts";
import type { AuditLine } from "./audit-line.ts";
import { dayOf, listFiles, nameFile, type Name } from "./audit-name.ts";
import { newestEvents, repairTail } from "./audit-tail.ts";
import type { Store } from "./group-commit.ts";

const DAY_MS = 86_400_000;

/** Options of {@link AuditLog}. */
export interface AuditLogOptions {
  directory: string;
  /** A file that would grow beyond is followed by the next one. */
  fileMaxBytes: number;
  /** Files of older days are deleted; 0 keeps all. */
  retentionDays: number;
  /** Told at start of the newest events that stand in the log, oldest first, at most `eventsMax`. */
  seen: (eventId: string) => void;
  eventsMax: number;
  log: Log;
  open?: Open;
  now?: () => number;
}

/** The audit log's files: JSON Lines, one file after the other, by day and by size. There is one writer: see WriterLock. */
export class AuditLog implements Store {
  readonly #options: Required<AuditLogOptions>;
  #file: AuditFile | undefined;
  #name: Name | undefined;

  constructor(options: AuditLogOptions) {
    this.#options = { open, now: Date.now, ...options };
  }

  /** Deletes what is too old, repairs a torn end, and finds the events and the file to go on with. */
  async open(): Promise<void> {
    const names = await this.#expire();
    const ofToday = names.findLast(({ day }) => day === this.#day());
    // Two different ones only after the clock was set back over midnight.
    for (const name of new Set([names.at(-1), ofToday])) if (name) await this.#repair(name);
    const { eventsMax, seen } = this.#options;
    const paths = names.map((name) => this.#path(name));
    for (const event of await newestEvents(paths, eventsMax, this.#options.open)) seen(event);
  }

  /** Resolves when all lines are on disk; after a failure none stands, and the same lines may be written again. */
  async write(lines: readonly AuditLine[]): Promise<void> {
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    let file = this.#fileWithRoom(bytes.length) ?? (await this.#nextFile());
    while (!(await file.append(bytes))) {
      const left = { file: this.#name?.file };
      this.#options.log.warn("audit file removed or changed by another hand, leaving it", left);
      file = await this.#nextFile();
    }
  }

  /** n.b. what could not be written goes to the same file, also after midnight, so that no torn end is left behind. */
  #fileWithRoom(bytes: number): AuditFile | undefined {
    const { torn = false, size = 0 } = this.#file ?? {};
    const fits = size === 0 || size + bytes <= this.#options.fileMaxBytes;
    return torn || (fits && this.#name?.day === this.#day()) ? this.#file : undefined;
  }

  #use(name: Name, size: number): AuditFile {
    this.#name = name;
    this.#file = new AuditFile(this.#path(name), size, this.#options.open);
    return this.#file;
  }

  async #nextFile(): Promise<AuditFile> {
    const day = this.#day();
    const names = [...(await this.#expire()), ...(this.#name ? [this.#name] : [])];
    const taken = names.filter((name) => name.day === day).map(({ number }) => number);
    return this.#use(nameFile(day, Math.max(0, ...taken) + 1), 0);
  }

  async #repair(name: Name): Promise<void> {
    const { size, cut } = await repairTail(this.#path(name), this.#options.open);
    if (cut > 0) this.#options.log.warn("torn last line removed", { file: name.file, bytes: cut });
    this.#use(name, size);
  }

  /** Deletes the files of days before the retention; gives the others, oldest first. */
  async #expire(): Promise<Name[]> {
    const { retentionDays, now } = this.#options;
    const names = await listFiles(this.#options.directory);
    const first = retentionDays === 0 ? "" : dayOf(now() - retentionDays * DAY_MS);
    for (const { file } of names.filter(({ day }) => day < first)) await this.#delete(file);
    return names.filter(({ day }) => day >= first);
  }

  /** A file that cannot be deleted must not stop the log. */
  async #delete(file: string): Promise<void> {
    const { directory, log } = this.#options;
    try {
      await unlink(join(directory, file));
      log.info("audit file deleted after its retention", { file });
    } catch (error) {
      log.warn("audit file not deleted", { file, ...describe(error) });
    }
  }

  #path({ file }: Name): string {
    return join(this.#options.directory, file);
  }

  #day(): string {
    return dayOf(this.#options.now());
  }
}
