import { constants } from "node:fs";
import { stat, type FileHandle, type open } from "node:fs/promises";
import { dirname } from "node:path";

const APPEND = constants.O_WRONLY | constants.O_APPEND;
/** Readable for the group, which log shippers belong to. */
const MODE = 0o640;

/** `open` of node:fs/promises, or something that behaves so. */
export type Open = typeof open;

/** One file of the audit log. It opens itself when it is written to, and again after anything failed. */
export class AuditFile {
  readonly path: string;
  readonly #open: Open;
  #size: number;
  #handle: FileHandle | undefined;
  #inode: number | undefined;
  #torn = false;

  /** `size`: up to where its lines are whole and on disk; 0 for a file that is to be created. */
  constructor(path: string, size: number, open: Open) {
    this.path = path;
    this.#size = size;
    this.#open = open;
  }

  /** Bytes whose lines are whole and on disk. */
  get size(): number {
    return this.#size;
  }

  /** Whether a failed write may have left something at its end. */
  get torn(): boolean {
    return this.#torn;
  }

  /** Whether it is as we left it: not removed, replaced, cut or added to by someone else. */
  async isIntact(): Promise<boolean> {
    const found = await stat(this.path).catch(unlessMissing);
    if (!found) return this.#inode === undefined && this.#size === 0;
    if (this.#inode !== undefined && this.#inode !== found.ino) return false;
    return this.#torn ? found.size >= this.#size : found.size === this.#size;
  }

  /** Appends and resolves when it is on disk; after a failure nothing of it stands, and the next call opens anew. */
  async append(bytes: Buffer): Promise<void> {
    try {
      this.#handle ??= await this.#openForAppending();
      this.#torn = true;
      await this.#handle.appendFile(bytes);
      await this.#handle.datasync();
      this.#size += bytes.length;
      this.#torn = false;
    } catch (error) {
      // n.b. after a failed sync the kernel holds the pages for clean, and a second one on this descriptor would succeed.
      // Readers meet no half line meanwhile; where that fails, it is cut off before the next write.
      await this.#handle?.truncate(this.#size).catch(() => undefined);
      await this.close();
      throw error;
    }
  }

  /** Closes it; a later append opens it again. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close().catch(() => undefined);
  }

  async #openForAppending(): Promise<FileHandle> {
    const create = this.#size === 0 ? constants.O_CREAT : 0;
    const handle = await this.#open(this.path, APPEND | create, MODE);
    try {
      if (this.#torn) await handle.truncate(this.#size);
      if (create) await this.#syncDirectory();
      this.#inode = (await handle.stat()).ino;
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** A new name is not on disk before its directory is. */
  async #syncDirectory(): Promise<void> {
    const directory = await this.#open(dirname(this.path), constants.O_RDONLY);
    await directory.sync().finally(() => directory.close());
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
