import { DiskThread } from "./disk-thread.ts";

/** SQLite's result code 5: somebody else holds a lock. */
const BUSY = 5;

/** A lock that is held. */
export interface FileLock {
  release: () => Promise<void>;
}

/**
 * Takes an exclusive lock on a file, which it makes; undefined if another process holds it. The kernel releases it when the
 * process ends, however it ends. Nothing is written to the file, so a full disk does not prevent it.
 */
export async function takeFileLock(path: string): Promise<FileLock | undefined> {
  const thread = new DiskThread(path);
  try {
    await thread.call("lock", []);
  } catch (error) {
    await thread.end();
    if ((error as { errcode?: number }).errcode === BUSY) return undefined;
    throw error;
  }
  const release = async () => {
    await thread.call("unlock", []);
    await thread.end();
  };
  return { release };
}
