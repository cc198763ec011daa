import * as z from "zod";
import { addressSchema } from "./address.ts";
import { deliveryIdSchema } from "./ids.ts";

/** The `type` property of an outcome, with its schema version. */
export const OUTCOME_TYPE = "outcome.v1";

/** The kinds of outcomes. A kind is also the routing key on the exchange `outcomes`. Only a person deletes parked deliveries. */
export const OUTCOME_KINDS = [
  "email.sent",
  "email.deferred",
  "email.failed",
  "email.parked",
  "email.deleted",
] as const;

/** Most characters of a stored reply. An SMTP reply line has up to 512 bytes (RFC 5321 §4.5.3.1.5), a reply several lines. */
export const REPLY_MAX = 4_000;

/** Stable codes of why a delivery failed, was parked or was kept. The schema allows others, for newer emailers. */
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

/** The body of an outcome: the result of one attempt to deliver one email to one recipient. */
export const outcomeSchema = z.object({
  kind: z.enum(OUTCOME_KINDS).describe("The result of the attempt"),
  delivery: deliveryIdSchema.describe("The delivery: email id, recipient index, generation"),
  time: z.iso.datetime().describe("Time of the outcome, UTC"),
  recipient: addressSchema.optional().describe("Absent if the message could not be read"),
  from: z.string().max(320).optional().describe("The sender of the envelope"),
  subject: z.string().max(998).optional(),
  bytes: z.number().int().min(0).optional().describe("Size of the mail's text, in bytes of UTF-8"),
  attempt: z
    .int()
    .min(1)
    .optional()
    .describe("1 for the first; absent if a person deleted the delivery"),
  relay: z.string().max(300).optional().describe("Host and port of the relay that answered"),
  reply: z.string().max(REPLY_MAX).optional().describe("The reply of the relay, or our own reason"),
  reason: z
    .string()
    .max(100)
    .optional()
    .describe("Stable code of why the delivery failed, was parked or was kept"),
  possibleDuplicate: z.boolean().describe("The relay may have accepted this delivery before"),
});

/** An outcome. */
export type Outcome = z.output<typeof outcomeSchema>;

/** The kinds of events of a delivery in the record. */
export const EVENT_KINDS = ["email.accepted", "email.replayed", ...OUTCOME_KINDS] as const;

/** One of {@link EVENT_KINDS}. */
export type EventKind = (typeof EVENT_KINDS)[number];
