import { closeSync, constants, fchmodSync, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Bound } from "./writes.ts";

/** As the audit log's files: readable for the group, which log shippers belong to. */
const MODE = 0o640;
const MAGIC = "SQLite format 3\0";
/** SQLite's result codes 8, READONLY, and 13, FULL, as the system's own codes. */
const DISK_TROUBLES: Readonly<Record<number, string>> = { 8: "EROFS", 13: "ENOSPC" };

/** A row of a result. */
export type Row = Record<string, unknown>;

/**
 * Opens a database file or makes it, and runs statements. SQLite gives the files beside it the same mode.
 * @throws {Error} it is no database, or cannot be made
 */
export function openDatabase(path: string, statements: string): DatabaseSync {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, MODE);
  try {
    // The umask has no say. A file of another user keeps its mode.
    if ((fstatSync(file).mode & 0o777) !== MODE) fchmodSync(file, MODE);
  } finally {
    closeSync(file);
  }
  const database = new DatabaseSync(path);
  try {
    database.exec(statements);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Removes a database with the files beside it. */
export function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}

/** The ledger's file. Every use of it fails after somebody else has removed or overwritten it. */
export class DatabaseFile {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #inode: number;
  readonly #statements = new Map<string, StatementSync>();

  /** @throws {Error} it is no database, or cannot be made */
  constructor(path: string, schema: string) {
    this.#path = path;
    this.#database = openDatabase(path, schema);
    this.#inode = inodeOf(path);
  }

  close(): void {
    this.#database.close();
  }

  /** The rows of a query. */
  rows(...[sql, ...values]: Bound): Row[] {
    this.#assertIntact();
    return this.#prepare(sql).all(...values);
  }

  /** Runs statements, all or none. @throws {Error} with the code ENOSPC or EROFS: its disk must be waited for */
  run(bound: readonly Bound[]): void {
    this.#assertIntact();
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const [sql, ...values] of bound) this.#prepare(sql).run(...values);
      this.#database.exec("COMMIT");
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      const code = DISK_TROUBLES[(cause as { errcode?: number }).errcode ?? 0];
      if (!code) throw cause;
      throw Object.assign(new Error("The ledger cannot be written", { cause }), { code });
    }
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** SQLite itself goes on with a file that was deleted, and with its cache of one that was overwritten. */
  #assertIntact(): void {
    if (inodeOf(this.#path) !== this.#inode) throw new Error("the file was replaced");
  }
}

/** @throws {Error} it is no database */
function inodeOf(path: string): number {
  const file = openSync(path, "r");
  try {
    const magic = Buffer.alloc(MAGIC.length);
    readSync(file, magic, 0, MAGIC.length, 0);
    if (magic.toString("latin1") !== MAGIC) throw new Error("the file is no database");
    return fstatSync(file).ino;
  } finally {
    closeSync(file);
  }
}
