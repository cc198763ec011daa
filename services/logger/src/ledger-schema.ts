import type { EventKind } from "@posthorn/contract";

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
export const SCHEMA = `
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
