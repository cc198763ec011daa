import { constants } from "node:fs";
import type { FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

const APPEND = constants.O_WRONLY | constants.O_APPEND;
/** Readable for the group, which log shippers belong to. */
export const MODE = 0o640;

/** `open` of node:fs/promises, or something that behaves so. */
export type Open = typeof open;

/** One file of the audit log. It is opened for each write, which costs little beside the sync. */
export class AuditFile {
  readonly name: string;
  readonly #directory: string;
  readonly #open: Open;
  #size: number;
  #inode: number | undefined;
  #torn = false;

  /** `size`: up to where its lines are whole and on disk; 0 for a file that is to be created. */
  constructor(directory: string, name: string, size: number, open: Open) {
    this.#directory = directory;
    this.name = name;
    this.#size = size;
    this.#open = open;
  }

  /** Whether so many more bytes, written on that day, go into it. */
  takes(bytes: number, day: string, maxBytes: number): boolean {
    const fits = this.#size === 0 || this.#size + bytes <= maxBytes;
    // n.b. what could not be written goes to the same file, also after midnight, so that no torn end is left behind.
    return this.#torn || (fits && this.name.startsWith(day));
  }

  /**
   * Appends and resolves to true when it is on disk, or to false when the file is not as we left it: removed, replaced,
   * cut or added to by someone else. After a failure nothing of it stands, and it may be appended again.
   */
  async append(bytes: Buffer): Promise<boolean> {
    const isNew = this.#size === 0 && this.#inode === undefined;
    const path = join(this.#directory, this.name);
    const opening = this.#open(path, isNew ? APPEND | constants.O_CREAT : APPEND, MODE);
    const handle = await (isNew ? opening : opening.catch(unlessMissing));
    if (!handle) return false;
    try {
      const { ino, size } = await handle.stat();
      if (!this.#isAsLeft(ino, size)) return false;
      if (isNew) await this.#syncDirectory();
      this.#inode = ino;
      await this.#write(handle, bytes);
      return true;
    } finally {
      await handle.close().catch(() => undefined);
    }
  }

  #isAsLeft(inode: number, size: number): boolean {
    if (this.#inode !== undefined && this.#inode !== inode) return false;
    return this.#torn ? size >= this.#size : size === this.#size;
  }

  /** n.b. after a failed sync the kernel holds the pages for clean, and a second one on this descriptor would succeed. */
  async #write(handle: FileHandle, bytes: Buffer): Promise<void> {
    if (this.#torn) await handle.truncate(this.#size);
    this.#torn = true;
    try {
      await handle.appendFile(bytes);
      await handle.datasync();
    } catch (error) {
      // Readers meet no half line meanwhile; where this fails, it is cut off before the next write.
      await handle.truncate(this.#size).catch(() => undefined);
      throw error;
    }
    this.#size += bytes.length;
    this.#torn = false;
  }

  /** A new name is not on disk before its directory is. */
  async #syncDirectory(): Promise<void> {
    const directory = await this.#open(this.#directory, constants.O_RDONLY);
    await directory.sync().finally(() => directory.close());
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
