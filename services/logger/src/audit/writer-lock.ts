import { constants } from "node:fs";
import { access, chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { geteuid } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { takeFileLock, type FileLock } from "@wellsent/ledger";
import { ConfigError, type Log } from "@wellsent/runtime";

/** The lock's file in the audit log's directory. */
export const LOCK_FILE = "writer.lock";

const RETRY_MS = 500;
/** Waiting is spoken of at once and then twice a minute. */
const SAY_EVERY = 60;
/** What an operator must mend; a full disk or a volume that is read-only for a while is waited for. */
const OPERATORS_BUSINESS = ["EACCES", "EPERM", "ENOTDIR", "EEXIST", "ELOOP", "ENAMETOOLONG"];
/** Of the directory, if the logger makes it; the umask has no say. */
const DIRECTORY_MODE = 0o750;

/**
 * Makes this process the only writer of a directory: an exclusive lock on an SQLite file, which the kernel releases
 * when the process dies, however it dies. A second writer waits until the first is gone.
 */
export function createWriterLock(directory: string, log: Log) {
  const ending = new AbortController();
  const { signal } = ending;
  let held: FileLock | undefined;
  let reason = "not started";
  const take = async (): Promise<boolean> => {
    try {
      const made = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
      if (made !== undefined) await chmod(directory, DIRECTORY_MODE);
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
      held = await takeFileLock(join(directory, LOCK_FILE));
      reason = "another writer holds the directory";
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      if (OPERATORS_BUSINESS.includes(code)) throw unusable(directory, code, error);
      reason = message;
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
    async stop(): Promise<void> {
      ending.abort();
      const lock = held;
      held = undefined;
      await lock?.release();
    },
  };
}

/** n.b. `os.userInfo()` fails for a user without a name, as in a container. */
function unusable(directory: string, code: string, cause: unknown): ConfigError {
  const user = geteuid?.() ?? "unknown";
  const reason = `AUDIT_DIR: ${directory} cannot be written by user id ${user} (${code})`;
  return new ConfigError("AUDIT_DIR_UNUSABLE", reason, { cause });
}
