import { z } from "zod";
import { deliveryIdSchema } from "./delivery.ts";
import { OUTCOME_KINDS } from "./outcome.ts";

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
