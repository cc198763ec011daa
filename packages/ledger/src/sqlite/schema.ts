import type { EventKind } from "@wellsent/contract";

/** A ledger of another version is built again from the audit log. */
export const SCHEMA_VERSION = 2;

/** A later kind overrules an earlier one, in whatever order they arrive: an email that a relay accepted is sent. */
const KINDS: readonly EventKind[] = [
  "email.accepted",
  "email.deferred",
  "email.parked",
  "email.replayed",
  "email.deleted",
  "email.failed",
  "email.sent",
];

/** The rank of an event's kind; the event of the highest rank decides the state of its delivery. */
export const RANK = `CASE line ->> 'kind' ${KINDS.map((kind, rank) => `WHEN '${kind}' THEN ${rank}`).join(" ")} END`;

/**
 * Every id begins with the time of its email's acceptance, so the oldest rows are found by their ids.
 * `synchronous = NORMAL` syncs only at checkpoints. A power cut may lose the newest transactions but damages nothing, and
 * the positions in `files`, written in the same transactions, tell which lines must be read again.
 */
export const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
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
  CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, size INTEGER NOT NULL, last TEXT) STRICT, WITHOUT ROWID;
`;
