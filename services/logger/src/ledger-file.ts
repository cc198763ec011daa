import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { TransientError } from "@posthorn/chassis";
import { SCHEMA } from "./ledger-schema.ts";
import { openDatabase } from "./open-database.ts";

const MAGIC = "SQLite format 3\0";
/** SQLite's result codes 8, READONLY, and 13, FULL, as the system's own. */
const DISK_TROUBLES: Readonly<Record<number, string>> = { 8: "EROFS", 13: "ENOSPC" };

/** A statement with its values. */
type Bound = readonly [sql: string, ...values: SQLInputValue[]];

/** The ledger's file. Whatever is done with it fails when another hand has removed or overwritten it. */
export class LedgerFile {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #inode: number;
  readonly #statements = new Map<string, StatementSync>();

  /** Opens it, or makes it. @throws {Error} it is no database, or cannot be made */
  constructor(path: string) {
    this.#path = path;
    this.#database = openDatabase(path, SCHEMA);
    this.#inode = this.#assertSqlite();
  }

  close(): void {
    this.#database.close();
  }

  /** The rows of a query. */
  rows(...[sql, ...values]: Bound): Record<string, unknown>[] {
    this.#assertIntact();
    return this.#prepare(sql).all(...values);
  }

  /** Runs statements, all or none. @throws {TransientError} ENOSPC, EROFS: its disk must be waited for */
  run(statements: readonly Bound[]): void {
    this.#assertIntact();
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const [sql, ...values] of statements) this.#prepare(sql).run(...values);
      this.#database.exec("COMMIT");
    } catch (cause) {
      const code = DISK_TROUBLES[(cause as { errcode?: number }).errcode ?? 0];
      if (!code) throw cause;
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw new TransientError(code, "The ledger cannot be written", { cause });
    }
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** n.b. SQLite goes on with a file that was deleted, and with its cache of one that was overwritten. */
  #assertIntact(): void {
    if (this.#assertSqlite() !== this.#inode) throw new Error("the file was replaced");
  }

  #assertSqlite(): number {
    const file = openSync(this.#path, "r");
    try {
      const magic = Buffer.alloc(MAGIC.length);
      readSync(file, magic, 0, MAGIC.length, 0);
      if (magic.toString("latin1") !== MAGIC) throw new Error("the file is no database");
      return fstatSync(file).ino;
    } finally {
      closeSync(file);
    }
  }
}
