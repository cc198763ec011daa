import { open, readdir, rename, stat, unlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, type Log } from "@wellsent/runtime";
import type { AuditFiles, Part, Span } from "@wellsent/ledger";
import { createAuditFile, MODE, type AuditFile, type Open } from "./file.ts";
import { stringifyLine, type AuditLine } from "./line.ts";
import type { AuditConfig } from "../config.ts";
import { lineBefore, newestLines, parseLine, readParts, repairTail, textsOf } from "./reader.ts";

const DAY_MS = 86_400_000;
/** The day of writing, UTC, and the file's number on that day. */
const FILE_NAME = /^audit-\d{4}-\d{2}-\d{2}\.(\d{3,})\.jsonl$/;
const NUMBER_DIGITS = 3;
/** Stands in the lines that are looked for and in few others, which so need not be parsed. */
const PARKED = '"email.parked"';

/** What the audit log needs. */
export interface AuditLogOptions extends AuditConfig {
  /** Whether a delivery is still parked; it rejects while that is not known. */
  isParked: (delivery: string) => Promise<boolean>;
  /** Called before a file is shortened or deleted; a rejection prevents that. */
  forgetFile: (name: string) => Promise<void>;
  /** Called at start with the newest lines in the log, oldest first, at most `linesMax`. */
  seen: (lines: readonly AuditLine[]) => void;
  linesMax: number;
  /** The time by which files are too old, which may be behind the clock: milliseconds since the epoch. */
  retentionNow: () => number;
  log: Log;
  open?: Open;
  /** The clock by which files are named, in milliseconds since the epoch. */
  now?: () => number;
}

/** The audit log's files: JSON Lines, one file after the other, by day and by size. There is one writer: see createWriterLock. */
export class AuditLog implements AuditFiles {
  readonly #options: Required<AuditLogOptions>;
  readonly #opened = Promise.withResolvers<undefined>();
  #file: AuditFile | undefined;
  #expiring: Promise<void> | undefined;

  constructor(options: AuditLogOptions) {
    this.#options = { open, now: Date.now, ...options };
  }

  /** Repairs a torn end, and finds the events and the file to go on with. */
  async open(): Promise<void> {
    const names = await this.#names();
    const ofToday = names.findLast((name) => name.startsWith(this.#day()));
    // Two different ones only after the clock was set back over midnight.
    for (const name of new Set([names.at(-1), ofToday])) if (name) await this.#repair(name);
    const { linesMax, seen } = this.#options;
    seen(await newestLines(names.map(this.#path), linesMax));
    this.#opened.resolve(undefined);
  }

  /** The files with their sizes, oldest first, once the log is open. */
  async files(): Promise<{ name: string; size: number }[]> {
    await this.#opened.promise;
    const names = await this.#names();
    const sizes = await Promise.all(names.map((name) => stat(this.#path(name))));
    return names.map((name, index) => ({ name, size: sizes[index]?.size ?? 0 }));
  }

  /** The whole lines of a file from an offset on. */
  read(name: string, from: number): AsyncGenerator<Part> {
    return readParts(this.#path(name), from);
  }

  /** The id of the event whose line ends at an offset of a file. */
  async eventBefore(name: string, offset: number): Promise<string | undefined> {
    return (await lineBefore(this.#path(name), offset))?.eventId;
  }

  /** The newest day that a file is named after, as the moment of its end; undefined without a file. */
  async newestDay(): Promise<number | undefined> {
    const newest = (await this.#names()).at(-1);
    if (newest === undefined) return undefined;
    return Date.parse(newest.slice("audit-".length, "audit-2026-11-23".length)) + DAY_MS;
  }

  /**
   * Resolves to where the lines are when all are on disk. After a failure none is in the log, and the same lines may be
   * written again.
   */
  async write(lines: readonly AuditLine[]): Promise<Span> {
    const { fileMaxBytes, log } = this.#options;
    const bytes = Buffer.from(lines.map((line) => `${stringifyLine(line)}\n`).join(""));
    const present = this.#file;
    const takes = present?.takes(bytes.length, this.#day(), fileMaxBytes);
    for (let file = takes ? present : undefined; ; file = undefined) {
      file ??= await this.#nextFile();
      const from = await file.append(bytes);
      const last = lines.at(-1)?.eventId;
      if (from !== undefined) return { file: file.name, from, to: from + bytes.length, last };
      log.warn("audit file removed or changed by another hand, leaving it", { file: file.name });
    }
  }

  #use(name: string, size: number): AuditFile {
    const { directory, open } = this.#options;
    this.#file = createAuditFile(directory, name, size, open);
    return this.#file;
  }

  /** n.b. the present file may have been removed, and its number is taken all the same. */
  async #nextFile(): Promise<AuditFile> {
    const day = this.#day();
    const names = [...(await this.#names()), this.#file?.name ?? ""];
    void this.expire();
    const ofDay = names.filter((name) => name.startsWith(day));
    const taken = ofDay.map((name) => Number(FILE_NAME.exec(name)?.[1]));
    const number = String(Math.max(0, ...taken) + 1).padStart(NUMBER_DIGITS, "0");
    return this.#use(`${day}.${number}.jsonl`, 0);
  }

  async #repair(name: string): Promise<void> {
    const { size, cut } = await repairTail(this.#path(name), this.#options.open);
    if (cut > 0) this.#options.log.warn("torn last line removed", { file: name, bytes: cut });
    this.#use(name, size);
  }

  /** Deletes the files of days before the retention. They are read through meanwhile, so no write waits for it. */
  expire(): Promise<void> {
    const expire = async () => {
      // On an idle system the present file grows old too.
      if (this.#file && !this.#file.isTorn() && this.#isOld(this.#file.name)) {
        this.#file = undefined;
      }
      for (const name of await this.#names()) {
        if (this.#isOld(name) && name !== this.#file?.name) await this.#delete(name);
      }
    };
    // A later call tries again.
    const expiring = () => expire().catch(() => undefined);
    return (this.#expiring ??= expiring().finally(() => (this.#expiring = undefined)));
  }

  #isOld(name: string): boolean {
    const { retentionDays } = this.#options;
    const oldest = this.#options.retentionNow() - retentionDays * DAY_MS;
    return retentionDays > 0 && oldest > 0 && name < dayOf(oldest);
  }

  /** The audit files, oldest first. */
  async #names(): Promise<string[]> {
    const names = (await readdir(this.#options.directory)).filter((name) => FILE_NAME.test(name));
    return names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }

  /** A file that cannot be deleted must not stop the log. */
  async #delete(file: string): Promise<void> {
    const { log } = this.#options;
    try {
      if (await this.#deleteButParked(this.#path(file))) {
        log.info("audit file deleted after its retention", { file });
      }
    } catch (error) {
      log.warn("audit file not deleted", { file, ...describe(error) });
    }
  }

  /**
   * Deletes a file but for the lines by which what is still parked is known: from them the list is built anew. They stay
   * under its name, and nothing else of it does. Resolves to whether anything was deleted.
   */
  async #deleteButParked(path: string): Promise<boolean> {
    const kept: string[] = [];
    let count = 0;
    for await (const { texts } of textsOf(path)) {
      count += texts.length;
      for (const text of texts) if (await this.#isOfParked(text)) kept.push(`${text}\n`);
    }
    if (kept.length < count || count === 0) await this.#options.forgetFile(basename(path));
    if (kept.length === 0) {
      await unlink(path);
    } else if (kept.length < count) {
      await writeFile(`${path}.kept`, kept, { mode: MODE, flush: true });
      await rename(`${path}.kept`, path);
    }
    return kept.length === 0 || kept.length < count;
  }

  async #isOfParked(text: string): Promise<boolean> {
    const line = text.includes(PARKED) ? parseLine(text) : undefined;
    return line?.kind === "email.parked" && (await this.#options.isParked(line.delivery));
  }

  readonly #path = (name: string): string => join(this.#options.directory, name);

  /** What the names of today's files begin with. */
  #day(): string {
    return dayOf(this.#options.now());
  }
}

/** What the names of a day's files begin with. */
function dayOf(time: number): string {
  return `audit-${new Date(time).toISOString().slice(0, "2026-11-23".length)}`;
}
