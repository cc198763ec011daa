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

/** The routing key of a query on the exchange `outcomes`: it stands behind every outcome published before it. */
export const QUERY_KEY = "email.query";
/** The `type` property of a query, with its schema version. */
export const QUERY_TYPE = "query.v1";
/** The `type` property of an answer, with its schema version. */
export const ANSWER_TYPE = "answer.v1";
/** Direct reply-to: the queue that is none, from which an answer is consumed on the channel that asked. */
export const REPLY_QUEUE = "amq.rabbitmq.reply-to";

/** The kinds of events that the record knows of a delivery. */
export const EVENT_KINDS = ["email.accepted", "email.replayed", ...OUTCOME_KINDS] as const;

/** One of {@link EVENT_KINDS}. */
export type EventKind = (typeof EVENT_KINDS)[number];

/** The body of a query: what is recorded of a delivery? */
export const querySchema = z.object({
  delivery: deliveryIdSchema.describe("Whose"),
  attempt: z.number().int().min(1).optional().describe("Which attempt is about to be made"),
  asker: z.string().max(64).optional().describe("Who is about to make it"),
  marked: z.boolean().optional().describe("Of a copy that was published again, unconfirmed before"),
  again: z.boolean().optional().describe("Somebody died or lost the connection with this copy"),
});

/** A query. */
export type Query = z.output<typeof querySchema>;

/** The body of an answer: what the record knew when it had committed all that was published before the query. */
export const answerSchema = z.object({
  delivery: deliveryIdSchema.describe("Whose"),
  whole: z.boolean().describe("False while the ledger is broken or being rebuilt"),
  last: z.enum(EVENT_KINDS).nullable().describe("What became of it so far; null: nothing is known"),
  possibleDuplicate: z.boolean().describe("A relay may have taken it before"),
  twin: z.boolean().optional().describe("Another copy of it may be in other hands"),
});

/** An answer. */
export type Answer = z.output<typeof answerSchema>;
