import { constants } from "node:fs";
import type { FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

const APPEND = constants.O_WRONLY | constants.O_APPEND;
/** Readable for the group, which log shippers belong to. */
export const MODE = 0o640;

/** `open` of node:fs/promises, or something that behaves so. */
export type Open = typeof open;

/** What {@link createAuditFile} creates. */
export type AuditFile = ReturnType<typeof createAuditFile>;

/**
 * Writes one file of the audit log. It is opened for each write, which costs little beside the sync.
 * `size`: up to where its lines are whole and on disk; 0 for a file that is to be created.
 */
export function createAuditFile(directory: string, name: string, size: number, open: Open) {
  let inode: number | undefined;
  let torn = false;
  const isAsLeft = (found: { ino: number; size: number }): boolean => {
    if (inode !== undefined && inode !== found.ino) return false;
    return torn ? found.size >= size : found.size === size;
  };
  // n.b. after a failed sync the kernel holds the pages for clean, and a second one on this descriptor would succeed.
  const write = async (handle: FileHandle, bytes: Buffer): Promise<void> => {
    if (torn) await handle.truncate(size);
    torn = true;
    try {
      await handle.appendFile(bytes);
      await handle.datasync();
    } catch (error) {
      // Readers meet no half line meanwhile; where this fails, it is cut off before the next write.
      await handle.truncate(size).catch(() => undefined);
      throw error;
    }
    size += bytes.length;
    torn = false;
  };
  return {
    name,
    /** Whether a failed write may have left a part of its bytes. */
    isTorn: () => torn,
    /** Whether so many more bytes, written on that day, go into it. */
    takes(bytes: number, day: string, maxBytes: number): boolean {
      const fits = size === 0 || size + bytes <= maxBytes;
      // n.b. what could not be written goes to the same file, also after midnight, so that no torn end is left behind.
      return torn || (fits && name.startsWith(day));
    },
    /**
     * Appends, and resolves to the offset of the bytes when they are on disk, or to undefined if the file is not as we left it:
     * removed, replaced, cut or added to by someone else. After a failure nothing of it is in the file, and it may be
     * appended again.
     */
    async append(bytes: Buffer): Promise<number | undefined> {
      const isNew = size === 0 && inode === undefined;
      const flags = isNew ? APPEND | constants.O_CREAT : APPEND;
      const opening = open(join(directory, name), flags, MODE);
      const handle = await (isNew ? opening : opening.catch(unlessMissing));
      if (!handle) return undefined;
      try {
        const found = await handle.stat();
        if (!isAsLeft(found)) return undefined;
        if (isNew) {
          // The umask has no say.
          await handle.chmod(MODE);
          await syncDirectory(directory, open);
        }
        inode = found.ino;
        const offset = size;
        await write(handle, bytes);
        return offset;
      } finally {
        await handle.close().catch(() => undefined);
      }
    },
  };
}

/** A new name is not on disk before its directory is. */
async function syncDirectory(path: string, open: Open): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  await directory.sync().finally(() => directory.close());
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
