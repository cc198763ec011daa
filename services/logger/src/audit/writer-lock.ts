import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { geteuid } from "node:process";
import type { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, type Log } from "@wellsent/runtime";
import { openDatabase } from "../open-database.ts";

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
export function createWriterLock(directory: string, log: Log) {
  const ending = new AbortController();
  const { signal } = ending;
  let held: DatabaseSync | undefined;
  let reason = "not started";
  const take = async (): Promise<boolean> => {
    try {
      await mkdir(directory, { recursive: true, mode: 0o750 });
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
      // n.b. nothing is ever written to it, so that a full disk cannot keep the lock from being taken.
      held = openDatabase(join(directory, LOCK_FILE), "BEGIN EXCLUSIVE");
    } catch (error) {
      const { code = "", errcode, message } = error as NodeJS.ErrnoException & { errcode?: number };
      if (OPERATORS_BUSINESS.includes(code)) throw unusable(directory, code, error);
      reason = errcode === SQLITE_BUSY ? "another writer holds the directory" : message;
    }
    return held !== undefined;
  };
  return {
    name: "writer lock",
    /** Unready while another writer holds the directory. */
    check: () => (held ? undefined : { reason: `writer lock: ${reason}`, blocks: true }),
    /** Waits for the lock, or for the end. @throws {ConfigError} AUDIT_DIR_UNUSABLE */
    async start(): Promise<void> {
      for (let attempt = 0; !signal.aborted && !(await take()); attempt++) {
        if (attempt % SAY_EVERY === 0) log.warn("writer lock not held, waiting", { reason });
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    },
    stop(): void {
      ending.abort();
      held?.close();
      held = undefined;
    },
  };
}

/** n.b. `os.userInfo()` fails for a user without a name, as in a container. */
function unusable(directory: string, code: string, cause: unknown): ConfigError {
  const user = geteuid?.() ?? "unknown";
  const reason = `AUDIT_DIR: ${directory} cannot be written by user id ${user} (${code})`;
  return new ConfigError("AUDIT_DIR_UNUSABLE", reason, { cause });
}
