import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { geteuid } from "node:process";
import type { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, type Check, type Component, type Log } from "@posthorn/chassis";
import { openDatabase } from "./open-database.ts";

/** The lock's file in the audit log's directory. */
export const LOCK_FILE = "writer.lock";

const RETRY_MS = 500;
/** Waiting is spoken of at once and then twice a minute. */
const SAY_EVERY = 60;
/** What an operator must mend; a full disk or a volume that is read-only for a while is waited for. */
const OPERATORS_BUSINESS = ["EACCES", "EPERM", "ENOTDIR", "EEXIST", "ELOOP", "ENAMETOOLONG"];
/** SQLite's result code 5: someone else holds a lock. */
const SQLITE_BUSY = 5;

/**
 * Makes this process the only writer of a directory: an exclusive lock on an SQLite file, which the kernel releases
 * when the process dies, however it dies. A second writer waits until the first is gone.
 */
export class WriterLock implements Component {
  readonly name = "writer lock";
  readonly #directory: string;
  readonly #log: Log;
  readonly #ending = new AbortController();
  #held: DatabaseSync | undefined;
  #reason = "not started";

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  /** Unready while another writer holds the directory. */
  readonly check: Check = () =>
    this.#held ? undefined : { reason: `writer lock: ${this.#reason}`, blocks: true };

  /** Waits for the lock, or for the end. @throws {ConfigError} AUDIT_DIR_UNUSABLE */
  async start(): Promise<void> {
    const signal = this.#ending.signal;
    for (let attempt = 0; !signal.aborted && !(await this.#take()); attempt++) {
      if (attempt % SAY_EVERY === 0)
        this.#log.warn("writer lock not held, waiting", { reason: this.#reason });
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.#ending.abort();
    this.#held?.close();
    this.#held = undefined;
  }

  async #take(): Promise<boolean> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o750 });
      await access(this.#directory, constants.R_OK | constants.W_OK | constants.X_OK);
      // n.b. nothing is ever written to it, so that a full disk cannot keep the lock from being taken.
      this.#held = openDatabase(join(this.#directory, LOCK_FILE), "BEGIN EXCLUSIVE");
    } catch (error) {
      const { code = "", errcode, message } = error as NodeJS.ErrnoException & { errcode?: number };
      if (OPERATORS_BUSINESS.includes(code)) throw this.#unusable(code, error);
      this.#reason = errcode === SQLITE_BUSY ? "another writer holds the directory" : message;
    }
    return this.#held !== undefined;
  }

  /** n.b. `os.userInfo()` fails for a user without a name, as in a container. */
  #unusable(code: string, cause: unknown): ConfigError {
    const user = geteuid?.() ?? "unknown";
    const reason = `AUDIT_DIR: ${this.#directory} cannot be written by user id ${user} (${code})`;
    return new ConfigError("AUDIT_DIR_UNUSABLE", reason, { cause });
  }
}
