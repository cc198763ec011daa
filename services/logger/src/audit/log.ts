import { open, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type Log } from "@wellsent/runtime";
import { createAuditFile, MODE, type AuditFile, type Open } from "./file.ts";
import type { AuditLine } from "./line.ts";
import type { AuditConfig } from "../config.ts";
import { allLines, newestLines, parseLine, repairTail, textsOf } from "./reader.ts";

const DAY_MS = 86_400_000;
/** The day of writing, UTC, and the file's number on that day. */
const FILE_NAME = /^audit-\d{4}-\d{2}-\d{2}\.(\d{3,})\.jsonl$/;
const NUMBER_DIGITS = 3;
/** Stands in the lines that are looked for and in few others, which so need not be parsed. */
const PARKED = '"email.parked"';

/** Options of {@link AuditLog}. */
export interface AuditLogOptions extends AuditConfig {
  /** Whether a delivery is still parked; it throws while that is not known. */
  isParked: (delivery: string) => boolean;
  /** Told at start of the newest lines that stand in the log, oldest first, at most `linesMax`. */
  seen: (lines: readonly AuditLine[]) => void;
  linesMax: number;
  log: Log;
  open?: Open;
  now?: () => number;
}

/** The audit log's files: JSON Lines, one file after the other, by day and by size. There is one writer: see createWriterLock. */
export class AuditLog {
  readonly #options: Required<AuditLogOptions>;
  #file: AuditFile | undefined;
  #expiring: Promise<void> | undefined;

  constructor(options: AuditLogOptions) {
    this.#options = { open, now: Date.now, ...options };
  }

  /** Deletes what is too old, repairs a torn end, and finds the events and the file to go on with. */
  async open(): Promise<void> {
    await this.#expire();
    const names = (await this.#names()).filter((name) => !this.#isOld(name));
    const ofToday = names.findLast((name) => name.startsWith(this.#day()));
    // Two different ones only after the clock was set back over midnight.
    for (const name of new Set([names.at(-1), ofToday])) if (name) await this.#repair(name);
    const { linesMax, seen } = this.#options;
    seen(await newestLines(names.map(this.#path), linesMax));
  }

  /** Every line that stands in the log, oldest first, in parts. */
  async *lines(): AsyncGenerator<AuditLine[]> {
    yield* allLines((await this.#names()).map(this.#path));
  }

  /** Resolves when all lines are on disk; after a failure none stands, and the same lines may be written again. */
  async write(lines: readonly AuditLine[]): Promise<void> {
    const { fileMaxBytes, log } = this.#options;
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const last = this.#file;
    let file = last?.takes(bytes.length, this.#day(), fileMaxBytes) ? last : await this.#nextFile();
    while (!(await file.append(bytes))) {
      log.warn("audit file removed or changed by another hand, leaving it", { file: file.name });
      file = await this.#nextFile();
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
    void this.#expire().catch(() => undefined); // The next file tries again.
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

  /** Deletes the files of days before the retention. n.b. they are read through, so that no write waits for it. */
  #expire(): Promise<void> {
    const expire = async () => {
      for (const name of await this.#names()) if (this.#isOld(name)) await this.#delete(name);
    };
    return (this.#expiring ??= expire().finally(() => (this.#expiring = undefined)));
  }

  #isOld(name: string): boolean {
    const { retentionDays } = this.#options;
    return retentionDays > 0 && name < this.#day(retentionDays);
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
      if (await this.#deleteButParked(this.#path(file)))
        log.info("audit file deleted after its retention", { file });
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
    for await (const text of textsOf(path)) {
      count += 1;
      const line = text.includes(PARKED) ? parseLine(text) : undefined;
      const stays = line?.kind === "email.parked" && this.#options.isParked(line.delivery);
      if (stays) kept.push(`${text}\n`);
    }
    if (kept.length === 0) await unlink(path);
    else if (kept.length < count) {
      await writeFile(`${path}.kept`, kept, { mode: MODE, flush: true });
      await rename(`${path}.kept`, path);
    }
    return kept.length === 0 || kept.length < count;
  }

  readonly #path = (name: string): string => join(this.#options.directory, name);

  /** What the names of a day's files begin with: today's, or those of so many days ago. */
  #day(ago = 0): string {
    const time = new Date(this.#options.now() - ago * DAY_MS);
    return `audit-${time.toISOString().slice(0, "2026-11-23".length)}`;
  }
}
