import type { SQLInputValue } from "node:sqlite";
import type { Batch, Span } from "../store.ts";
import { RANK } from "./schema.ts";

/** A statement with its values. */
export type Bound = readonly [sql: string, ...values: SQLInputValue[]];

/** What one event adds; ?1 is its line. A delivery's row is made of all its events, so their order does not matter. */
const ADD = [
  `INSERT OR IGNORE INTO emails
    SELECT ?1 ->> 'id', ?1 ->> 'time', ?1 ->> 'subject', ?1 ->> 'bytes', ?1 ->> 'tags'
    WHERE ?1 ->> 'kind' = 'email.accepted'`,
  `INSERT OR IGNORE INTO events VALUES (?1 ->> 'eventId', ?1 ->> 'delivery', ?1 ->> 'time', ?1)`,
  `INSERT OR REPLACE INTO deliveries
    SELECT delivery, line ->> 'id', max(line ->> 'recipient') OVER (), line ->> 'kind', time, line ->> 'attempt',
      line ->> 'relay', line ->> 'reply', line ->> 'reason', max(line ->> 'possibleDuplicate') OVER ()
    FROM events WHERE delivery = ?1 ->> 'delivery' ORDER BY ${RANK} DESC, time DESC LIMIT 1`,
];

/** Forgets some rows accepted before ?1 and last heard of before ?3, at most ?2 of each table. Parked mail stays until a person decides. */
const EXPIRE = [
  forget("emails", "id < ?1"),
  forget("events", "delivery < ?1"),
  forget("deliveries", "id < ?1 AND kind <> 'email.parked'"),
];

/** Advances a file's position over a span that begins at or before it: a span behind a gap changes nothing. */
const ADVANCE = `INSERT INTO files (name, size, last) SELECT ?1, ?3, ?4
  WHERE ?2 = 0 OR EXISTS (SELECT 1 FROM files WHERE name = ?1 AND size >= ?2)
  ON CONFLICT (name) DO UPDATE SET size = excluded.size, last = excluded.last WHERE excluded.size > size`;

/** Removes a file's position. */
export const FORGET_FILE = "DELETE FROM files WHERE name = ?";

/** The statements that add a batch. */
export function statementsOf({ events, span, keptSince }: Batch): Bound[] {
  const lines = events.map((event) => JSON.stringify(event));
  const expired = [oldestId(keptSince), events.length, new Date(keptSince).toISOString()] as const;
  return [
    ...lines.flatMap((line) => ADD.map((sql) => [sql, line] as const)),
    ...EXPIRE.map((sql) => [sql, ...expired] as const),
    ...(span ? [advance(span)] : []),
  ];
}

function advance({ file, from, to, last }: Span): Bound {
  return [ADVANCE, file, from, to, last ?? null];
}

function forget(table: string, which: string): string {
  return `DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE ${which} AND time < ?3 LIMIT ?2)`;
}

/** Returns a text below every id made at a time or later, in milliseconds: ids begin with their time (RFC 9562 §5.7). */
export function oldestId(time: number): string {
  const hex = Math.max(0, time).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
