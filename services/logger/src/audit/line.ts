import {
  deliveryIdSchema,
  emailIdSchema,
  EVENT_KINDS,
  formatDeliveryId,
  parseDeliveryId,
  recipientsOf,
  timeOfEmailId,
  type DeliveryId,
  type Email,
  type Outcome,
} from "@wellsent/contract";
import * as z from "zod";

/** One line of the audit log: one event of one delivery. Every line has every key; what is not known is null. */
export const auditLineSchema = z.object({
  v: z.literal(1).describe("Version of this schema"),
  time: z.iso.datetime().describe("When it happened, UTC"),
  eventId: z.string().describe("The same however often the event arrives"),
  id: emailIdSchema.describe("The email's id"),
  delivery: deliveryIdSchema.describe("Email id, recipient index, generation"),
  kind: z.enum(EVENT_KINDS).describe("What happened"),
  recipient: orNull(z.string()),
  from: orNull(z.string()).describe("The envelope's sender; null on acceptance"),
  subject: orNull(z.string()),
  bytes: orNull(z.number()).describe("Size of the text, in bytes of UTF-8"),
  tags: z.array(z.string()).default([]),
  attempt: orNull(z.number()).describe("1 for the first; null on acceptance"),
  relay: orNull(z.string()).describe("Host and port of the relay that answered"),
  reply: orNull(z.string()).describe("The relay's answer, or our reason"),
  reason: orNull(z.string()).describe("Stable code of a failure or of parking"),
  possibleDuplicate: z.boolean().describe("It may have happened before"),
});

function orNull<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullable().default(null);
}

/** One line of the audit log. */
export type AuditLine = z.output<typeof auditLineSchema>;

/** The lines of an accepted email, one for each recipient. */
export function acceptedLines(id: string, email: Email, possibleDuplicate: boolean): AuditLine[] {
  const time = new Date(timeOfEmailId(id)).toISOString();
  const { subject } = email;
  const bytes = Buffer.byteLength(email.body);
  return recipientsOf(email).map((recipient, index) => {
    const delivery = formatDeliveryId({ email: id, recipient: index, generation: 0 });
    const kind = "email.accepted";
    const event = { kind, time, delivery, recipient, subject, bytes, possibleDuplicate } as const;
    return toLine(`${delivery}.accepted`, event);
  });
}

/** The lines of a replay: the parked delivery's end, and the acceptance of the next generation. Absent: no email could be read. */
export function replayedLines(id: DeliveryId, email?: Email): AuditLine[] {
  const time = new Date().toISOString();
  const parked = formatDeliveryId({ ...id, generation: id.generation - 1 });
  const next = formatDeliveryId(id);
  const event = { time, ...(email && describe(email, id)), possibleDuplicate: false };
  return [
    toLine(`${parked}.replayed`, { ...event, kind: "email.replayed", delivery: parked }),
    toLine(`${next}.accepted`, { ...event, kind: "email.accepted", delivery: next }),
  ];
}

function describe(email: Email, { recipient }: DeliveryId) {
  const { subject, body } = email;
  return { recipient: recipientsOf(email)[recipient], subject, bytes: Buffer.byteLength(body) };
}

/** What happened to a delivery: an outcome, its acceptance, or its replay. */
type Event = Omit<Outcome, "kind"> & { kind: AuditLine["kind"] };

/** The line of an event. */
export function toLine(eventId: string, event: Event): AuditLine {
  const id = parseDeliveryId(event.delivery)?.email;
  return auditLineSchema.parse({ v: 1, eventId, id, ...event });
}

/** Characters at which some readers of lines split, though JSON allows them in a text. */
const LINE_BREAKS = /[\u0085\u2028\u2029]/g;

/** Writes a line of the audit log, without the line feed. */
export function stringifyLine(line: AuditLine): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(line).replace(LINE_BREAKS, escape);
}

/** A line for people, such as `sent 0192….0.0 to a@example.com via relay:25 (250 2.0.0 ok)`. */
export function describeLine(line: AuditLine): string {
  const parts = [
    line.kind.slice("email.".length),
    line.delivery,
    line.recipient && `to ${line.recipient}`,
    line.relay && `via ${line.relay}`,
    line.reason,
    line.reply && `(${line.reply})`,
    line.possibleDuplicate && "[possible duplicate]",
  ];
  // A relay's reply may carry line breaks and escape sequences for a terminal.
  const told = parts.filter((part) => part);
  return told.join(" ").replace(/\p{Cc}+/gu, " ");
}
