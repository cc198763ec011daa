import { AppError } from "@posthorn/chassis";
import type { AuditLine } from "./audit-line.ts";
import type { Ledger } from "./ledger.ts";

/** n.b. the ids of an email's deliveries begin with its own and a dot, and the slash follows the dot. */
const OF_EMAIL = "BETWEEN ?1 || '.' AND ?1 || '/'";
const EMAIL = "SELECT id, time, subject, bytes FROM emails WHERE id = ?1";
const DELIVERIES = `SELECT id AS delivery, recipient, kind, time, attempt, relay, reply, reason,
  possible_duplicate = 1 AS possibleDuplicate FROM deliveries WHERE id ${OF_EMAIL} ORDER BY id`;
const EVENTS = `SELECT line FROM events WHERE delivery ${OF_EMAIL} ORDER BY time, id`;

/** All that is recorded of an email. @throws {AppError} EMAIL_UNKNOWN @throws {TransientError} LEDGER_BROKEN */
export function describeEmail(ledger: Ledger, id: string) {
  const deliveries = ledger.rows(DELIVERIES, id);
  if (deliveries.length === 0) throw new AppError("EMAIL_UNKNOWN", "Nothing is recorded of it");
  const lines = ledger.rows(EVENTS, id).map(({ line }) => JSON.parse(String(line)) as AuditLine);
  const [email = { id }] = ledger.rows(EMAIL, id);
  return { ...email, deliveries, events: lines };
}
