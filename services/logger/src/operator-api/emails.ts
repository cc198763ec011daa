import { emailIdSchema } from "@wellsent/contract";
import { Problem, type Route } from "@wellsent/http";
import * as z from "zod";
import type { AuditLine } from "../audit/line.ts";
import type { Ledger } from "../ledger.ts";
import { PROBLEMS } from "./problems.ts";
import { read } from "./read.ts";

/** The ids of an email's deliveries begin with its own and a dot, and the slash follows the dot in ASCII. */
const OF_EMAIL = "BETWEEN ?1 || '.' AND ?1 || '/'";
const EMAIL = "SELECT id, time, subject, bytes FROM emails WHERE id = ?1";
const DELIVERIES = `SELECT id AS delivery, recipient, kind, time, attempt, relay, reply, reason,
  possible_duplicate = 1 AS possibleDuplicate FROM deliveries WHERE id ${OF_EMAIL} ORDER BY id`;
const EVENTS = `SELECT line FROM events WHERE delivery ${OF_EMAIL} ORDER BY time, id`;

/** The hexadecimal digits of a UUID have no case (RFC 9562 §4). */
const idSchema = z.string().toLowerCase().pipe(emailIdSchema);

/** `GET /emails/{id}`. */
export function emailRoutes(ledger: Ledger): Route[] {
  return [
    {
      method: "get",
      path: "/emails/:id",
      operation: {
        operationId: "getEmail",
        summary: "All that is recorded of an email",
        parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
        responses: { 200: { description: "The email, its deliveries and its events" } },
        problems: [PROBLEMS.EMAIL_UNKNOWN, PROBLEMS.REQUEST_INVALID, PROBLEMS.LEDGER_BROKEN],
      },
      handlers: [
        (request, response) =>
          void response.json(describeEmail(ledger, read(idSchema, request.params["id"]))),
      ],
    },
  ];
}

/** Returns all that is recorded of an email. @throws {Problem} EMAIL_UNKNOWN @throws {TransientError} LEDGER_BROKEN */
export function describeEmail(ledger: Ledger, id: string) {
  const deliveries = ledger.rows(DELIVERIES, id);
  if (deliveries.length === 0) throw new Problem(PROBLEMS.EMAIL_UNKNOWN);
  const events = ledger.rows(EVENTS, id).map(({ line }) => JSON.parse(String(line)) as AuditLine);
  const [email = { id }] = ledger.rows(EMAIL, id);
  return { ...email, deliveries, events };
}
