import * as z from "zod";
import { DIGEST } from "./adopted-id.ts";
import { deliveryIdSchema, emailIdSchema } from "./ids.ts";
import { EVENT_KINDS } from "./outcome.ts";

/** The routing key of a query on the exchange `outcomes`: the query is queued behind every outcome published before it. */
export const QUERY_KEY = "email.query";
/** The `type` property of a query, with its schema version. */
export const QUERY_TYPE = "query.v1";
/** The `type` property of an answer, with its schema version. */
export const ANSWER_TYPE = "answer.v1";
/** The routing key of a lease on the exchange `outcomes`: a lease is queued in order with queries and outcomes. */
export const LEASE_KEY = "email.lease";
/** The `type` property of a lease, with its schema version. */
export const LEASE_TYPE = "lease.v1";
/** Direct reply-to: the pseudo-queue from which an answer is consumed, on the channel that asked. */
export const REPLY_QUEUE = "amq.rabbitmq.reply-to";

/**
 * How long a lease is valid after its last renewal, in milliseconds. Holders renew every second, so that a lease
 * outlives a reconnect; a copy of the delivery waits longer than this before it is sent.
 */
export const LEASE_MS = 5_000;

/** Most deliveries that one lease message names; a holder with more sends several messages. */
export const LEASE_DELIVERIES_MAX = 2_000;

const holderSchema = z.string().min(1).max(64);

/** The body of a query: what is recorded of a delivery, and may the asker send it now? */
export const querySchema = z.object({
  delivery: deliveryIdSchema.describe("The delivery in question"),
  holder: holderSchema.optional().describe("The emailer that asks, a new id for each process"),
  acquire: z
    .boolean()
    .optional()
    .describe("Whether the asker wants the lease, because it would send now"),
  digest: z
    .string()
    .regex(DIGEST)
    .optional()
    .describe("Of a foreign message, which may have been adopted a moment before"),
  askedAt: z
    .int()
    .min(0)
    .optional()
    .describe("When the query was published, in milliseconds since the epoch"),
});

/** A query. */
export type Query = z.output<typeof querySchema>;

/** The body of an answer: what the record knew when it had committed all that was published before the query. */
export const answerSchema = z.object({
  delivery: deliveryIdSchema.describe("The delivery in question"),
  whole: z.boolean().describe("False while the ledger is broken or being rebuilt"),
  last: z
    .enum(EVENT_KINDS)
    .nullable()
    .describe("The last event of the delivery; null: nothing is known"),
  possibleDuplicate: z.boolean().describe("A relay may have accepted the mail before"),
  attempts: z.int().min(0).optional().describe("Attempts that a relay has answered for a while"),
  adoptedAs: emailIdSchema
    .optional()
    .describe("The email as which the message with the query's digest was adopted"),
  leased: z.boolean().optional().describe("Another emailer holds a valid lease of the delivery"),
});

/** An answer. */
export type Answer = z.output<typeof answerSchema>;

/** The body of a lease message: the deliveries that an emailer holds, and those it gives up without an attempt. */
export const leaseSchema = z.object({
  holder: holderSchema.describe("The emailer, a new id for each process"),
  held: z
    .array(deliveryIdSchema)
    .max(LEASE_DELIVERIES_MAX)
    .describe("Deliveries that a relay has, and whose outcome is not confirmed yet"),
  released: z
    .array(deliveryIdSchema)
    .max(LEASE_DELIVERIES_MAX)
    .describe("Deliveries whose lease was granted, and that no relay was given"),
});

/** A lease message. */
export type LeaseNotice = z.output<typeof leaseSchema>;
