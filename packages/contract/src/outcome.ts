import * as z from "zod";
import { addressSchema } from "./address.ts";
import { deliveryIdSchema } from "./ids.ts";

/** The `type` property of an outcome, with its schema version. */
export const OUTCOME_TYPE = "outcome.v1";

/** What can become of a delivery; also the routing key on the exchange `outcomes`. A person deletes what is parked. */
export const OUTCOME_KINDS = [
  "email.sent",
  "email.deferred",
  "email.failed",
  "email.parked",
  "email.deleted",
] as const;

/** Characters of a reply that are kept: an SMTP reply line has at most 512 octets (RFC 5321 §4.5.3.1.5), a reply may have several. */
export const REPLY_MAX = 4_000;

/** Why a delivery failed or was parked, or was kept: stable codes. The schema takes any, for newer emailers. */
export const REASONS = [
  "REFUSED",
  "SENDER_REFUSED",
  "RELAY_REFUSES_ALL",
  "ATTEMPTS_EXHAUSTED",
  "AMBIGUOUS",
  "UNTRIED",
  "EXPIRED",
  "CRASHED",
  "MESSAGE_NOT_JSON",
  "MESSAGE_SCHEMA",
] as const;

/** One of {@link REASONS}. */
export type Reason = (typeof REASONS)[number];

/** The body of an outcome: what became of one attempt to deliver one email to one recipient. */
export const outcomeSchema = z.object({
  kind: z.enum(OUTCOME_KINDS).describe("What became of it"),
  delivery: deliveryIdSchema.describe("Whose: email id, recipient index, generation"),
  time: z.iso.datetime().describe("When it was known, UTC"),
  recipient: addressSchema.optional().describe("Absent where the message could not be read"),
  from: z.string().max(320).optional().describe("The envelope's sender"),
  subject: z.string().max(998).optional(),
  bytes: z.number().int().min(0).optional().describe("Size of the mail's text, in bytes of UTF-8"),
  attempt: z.int().min(1).optional().describe("1 for the first; absent of what is deleted"),
  relay: z.string().max(300).optional().describe("Host and port of the relay that answered"),
  reply: z.string().max(REPLY_MAX).optional().describe("The relay's answer, or our reason"),
  reason: z
    .string()
    .max(100)
    .optional()
    .describe("Stable code of why it failed, was parked or was kept"),
  possibleDuplicate: z.boolean().describe("The relay may have taken this delivery before"),
});

/** An outcome. */
export type Outcome = z.output<typeof outcomeSchema>;

/** The kinds of events that the record knows of a delivery. */
export const EVENT_KINDS = ["email.accepted", "email.replayed", ...OUTCOME_KINDS] as const;

/** One of {@link EVENT_KINDS}. */
export type EventKind = (typeof EVENT_KINDS)[number];
