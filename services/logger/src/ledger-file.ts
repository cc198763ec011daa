import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { SQLInputValue, StatementSync } from "node:sqlite";
import { TransientError } from "@wellsent/runtime";
import type { EventKind } from "@wellsent/contract";
import { openDatabase } from "./open-database.ts";

/** Another version makes the ledger be built anew from the audit log. */
export const SCHEMA_VERSION = 1;

/** Later ones overrule earlier ones, in whatever order they arrive: what a relay took is sent, whatever else is said. */
const KINDS: readonly EventKind[] = [
  "email.accepted",
  "email.deferred",
  "email.parked",
  "email.replayed",
  "email.deleted",
  "email.failed",
  "email.sent",
];
const RANK = `CASE line ->> 'kind' ${KINDS.map((kind, rank) => `WHEN '${kind}' THEN ${rank}`).join(" ")} END`;

/** n.b. every id begins with the time of its email's acceptance, so that the oldest are found by it. */
const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS emails (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, subject TEXT, bytes INTEGER, tags TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, delivery TEXT NOT NULL, time TEXT NOT NULL, line TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS events_by_delivery ON events (delivery);
  CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, email TEXT NOT NULL, recipient TEXT, kind TEXT NOT NULL, time TEXT NOT NULL, attempt INTEGER,
    relay TEXT, reply TEXT, reason TEXT, possible_duplicate INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS deliveries_parked ON deliveries (time, id) WHERE kind = 'email.parked';
  CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (time) WHERE kind = 'email.accepted';
`;

/** What one line of the audit log adds; ?1 is the line. A delivery's row is made of all its events, so their order is no matter. */
export const ADD = [
  `INSERT OR IGNORE INTO emails
    SELECT ?1 ->> 'id', ?1 ->> 'time', ?1 ->> 'subject', ?1 ->> 'bytes', ?1 ->> 'tags'
    WHERE ?1 ->> 'kind' = 'email.accepted'`,
  `INSERT OR IGNORE INTO events VALUES (?1 ->> 'eventId', ?1 ->> 'delivery', ?1 ->> 'time', ?1)`,
  `INSERT OR REPLACE INTO deliveries
    SELECT delivery, line ->> 'id', max(line ->> 'recipient') OVER (), line ->> 'kind', time, line ->> 'attempt',
      line ->> 'relay', line ->> 'reply', line ->> 'reason', max(line ->> 'possibleDuplicate') OVER ()
    FROM events WHERE delivery = ?1 ->> 'delivery' ORDER BY ${RANK} DESC, time DESC LIMIT 1`,
];

/**
 * Forgets some of what was accepted before ?1 and last heard of before ?3, at most ?2 rows: a replay of old mail is asked
 * about like any other. What is parked rests until a person decides.
 */
export const EXPIRE = [
  forget("emails", "id < ?1"),
  forget("events", "delivery < ?1"),
  forget("deliveries", "id < ?1 AND kind <> 'email.parked'"),
];

/** What became of the delivery ?. */
export const LAST_EVENT = "SELECT kind, possible_duplicate FROM deliveries WHERE id = ?";

function forget(table: string, which: string): string {
  return `DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE ${which} AND time < ?3 LIMIT ?2)`;
}

const MAGIC = "SQLite format 3\0";
/** SQLite's result codes 8, READONLY, and 13, FULL, as the system's own. */
const DISK_TROUBLES: Readonly<Record<number, string>> = { 8: "EROFS", 13: "ENOSPC" };

/** A statement with its values. */
type Bound = readonly [sql: string, ...values: SQLInputValue[]];

/** What {@link openLedgerFile} opens. */
export type LedgerFile = ReturnType<typeof openLedgerFile>;

/**
 * Opens the ledger's file, or makes it. Whatever is done with it fails when another hand has removed or overwritten it.
 * @throws {Error} it is no database, or cannot be made
 */
export function openLedgerFile(path: string) {
  const database = openDatabase(path, SCHEMA);
  const inode = inodeOf(path);
  const statements = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    const statement = statements.get(sql) ?? database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  // n.b. SQLite goes on with a file that was deleted, and with its cache of one that was overwritten.
  const assertIntact = (): void => {
    if (inodeOf(path) !== inode) throw new Error("the file was replaced");
  };
  return {
    close: (): void => database.close(),
    /** The rows of a query. */
    rows(...[sql, ...values]: Bound): Record<string, unknown>[] {
      assertIntact();
      return prepare(sql).all(...values);
    },
    /** Runs statements, all or none. @throws {TransientError} ENOSPC, EROFS: its disk must be waited for */
    run(bound: readonly Bound[]): void {
      assertIntact();
      try {
        database.exec("BEGIN IMMEDIATE");
        for (const [sql, ...values] of bound) prepare(sql).run(...values);
        database.exec("COMMIT");
      } catch (cause) {
        const code = DISK_TROUBLES[(cause as { errcode?: number }).errcode ?? 0];
        if (!code) throw cause;
        if (database.isTransaction) database.exec("ROLLBACK");
        throw new TransientError(code, "The ledger cannot be written", { cause });
      }
    },
  };
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
