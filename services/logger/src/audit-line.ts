import {
  deliveryIdSchema,
  emailIdSchema,
  formatDeliveryId,
  OUTCOME_KINDS,
  parseDeliveryId,
  recipientsOf,
  timeOfEmailId,
  type Email,
  type Outcome,
} from "@posthorn/contract";
import { z } from "zod";

/** One line of the audit log: one event of one delivery. Every line has every key; what is not known is null. */
export const auditLineSchema = z.object({
  v: z.literal(1).meta({ description: "Version of this schema" }),
  time: z.iso.datetime().meta({ description: "When it happened, UTC" }),
  eventId: z.string().meta({ description: "The same however often the event arrives" }),
  id: emailIdSchema.meta({ description: "The email's id" }),
  delivery: deliveryIdSchema.meta({ description: "Email id, recipient index, generation" }),
  kind: z.enum(["email.accepted", ...OUTCOME_KINDS]).meta({ description: "What happened" }),
  recipient: z.string().nullable(),
  from: z.string().nullable().meta({ description: "The envelope's sender; null on acceptance" }),
  subject: z.string().nullable(),
  bytes: z.number().nullable().meta({ description: "Size of the text, in bytes of UTF-8" }),
  tags: z.array(z.string()),
  attempt: z.number().nullable().meta({ description: "1 for the first; null on acceptance" }),
  relay: z.string().nullable().meta({ description: "Host and port of the relay that answered" }),
  reply: z.string().nullable().meta({ description: "The relay's answer, or our reason" }),
  reason: z.string().nullable().meta({ description: "Stable code of a failure or of parking" }),
  possibleDuplicate: z.boolean().meta({ description: "It may have happened before" }),
});

/** One line of the audit log. */
export type AuditLine = z.output<typeof auditLineSchema>;

/** The lines of an accepted email, one for each recipient. */
export function acceptedLines(id: string, email: Email, possibleDuplicate: boolean): AuditLine[] {
  const time = new Date(timeOfEmailId(id)).toISOString();
  const bytes = Buffer.byteLength(email.body);
  return recipientsOf(email).map((recipient, index) => {
    const delivery = formatDeliveryId({ email: id, recipient: index, generation: 0 });
    return {
      v: 1,
      time,
      eventId: `${delivery}.accepted`,
      id,
      delivery,
      kind: "email.accepted",
      recipient,
      from: null,
      subject: email.subject,
      bytes,
      tags: [],
      attempt: null,
      relay: null,
      reply: null,
      reason: null,
      possibleDuplicate,
    };
  });
}

/** The line of an outcome. */
export function outcomeLine(eventId: string, outcome: Outcome): AuditLine {
  return {
    v: 1,
    time: outcome.time,
    eventId,
    id: parseDeliveryId(outcome.delivery)?.email ?? outcome.delivery,
    delivery: outcome.delivery,
    kind: outcome.kind,
    recipient: outcome.recipient ?? null,
    from: outcome.from ?? null,
    subject: outcome.subject ?? null,
    bytes: outcome.bytes ?? null,
    tags: [],
    attempt: outcome.attempt,
    relay: outcome.relay ?? null,
    reply: outcome.reply ?? null,
    reason: outcome.reason ?? null,
    possibleDuplicate: outcome.possibleDuplicate,
  };
}

/** A line for people, such as `sent 0192….0.0 to a@example.com via relay:25 (250 2.0.0 ok)`. */
export function describeLine(line: AuditLine): string {
  const parts = [
    `${line.kind.slice("email.".length)} ${line.delivery}`,
    line.recipient === null ? "" : `to ${line.recipient}`,
    line.relay === null ? "" : `via ${line.relay}`,
    line.reason ?? "",
    line.reply === null ? "" : `(${line.reply})`,
    line.possibleDuplicate ? "[possible duplicate]" : "",
  ];
  // A relay's reply may carry line breaks and escape sequences for a terminal.
  return parts
    .filter((part) => part !== "")
    .join(" ")
    .replace(/\p{Cc}+/gu, " ");
}
