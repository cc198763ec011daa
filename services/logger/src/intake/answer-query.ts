import { shortString, type Delivery, type Publisher } from "@wellsent/amqp";
import {
  ADOPTION_WINDOW_MS,
  ANSWER_TYPE,
  newId,
  querySchema,
  readAs,
  REPLY_QUEUE,
  timeOfEmailId,
  type Answer,
  type Query,
} from "@wellsent/contract";
import type { Ledger } from "@wellsent/ledger";
import { describe, type Log } from "@wellsent/runtime";
import type { AttemptLeases } from "./attempt-leases.ts";

/** How long an answer may take to be published, in milliseconds: the publisher may still be reconnecting. */
const ANSWER_MS = 10_000;
/** The longest delay of a query that counts, in milliseconds: an emailer's clock may be wrong. */
const LATE_MAX_MS = 60_000;

/** What answering a query needs. */
export interface AnswerOptions {
  publisher: Pick<Publisher, "publishWithin">;
  ledger: Pick<Ledger, "deferralsOf" | "idEndingIn" | "statusOf">;
  leases: AttemptLeases;
  log: Log;
}

/** Answers a query of the guard, by direct reply-to. A message that is no query, or asks for no answer, is ignored. */
export async function answerQuery(
  { body, properties }: Delivery,
  options: AnswerOptions,
): Promise<void> {
  const query = readAs(querySchema, body);
  // A reply queue of the asker's own choice would let it write to any queue.
  const replyTo = shortString(properties.replyTo);
  if (!query || !replyTo?.startsWith(`${REPLY_QUEUE}.`)) return;
  const correlationId = shortString(properties.correlationId);
  const answer = await toAnswer(query, options);
  const publication = {
    exchange: "",
    routingKey: replyTo,
    type: ANSWER_TYPE,
    messageId: newId(),
    ...(correlationId && { correlationId }),
    body: Buffer.from(JSON.stringify(answer)),
  };
  await options.publisher
    .publishWithin(publication, ANSWER_MS)
    .catch((error: unknown) => options.log.debug("query not answered", describe(error)));
}

/** Asks the leases first: an outcome that is recorded between the two questions ends its lease and shows in the record. */
async function toAnswer(query: Query, { ledger, leases }: AnswerOptions): Promise<Answer> {
  const lateMs = Date.now() - (query.askedAt ?? Date.now());
  const lease = leases.tryAcquire(query, Math.min(Math.max(lateMs, 0), LATE_MAX_MS));
  const { delivery } = query;
  const { whole, last, possibleDuplicate } = await ledger.statusOf(delivery);
  const attempts = await ledger.deferralsOf(delivery);
  const isDoubtful = possibleDuplicate || lease.possibleDuplicate;
  const adoptedAs = await adoptionOf(query, ledger);
  const known = { whole, last, attempts, possibleDuplicate: isDoubtful };
  return { delivery, ...known, leased: lease.leased, ...(adoptedAs !== null && { adoptedAs }) };
}

/** Finds the id under which a foreign message was adopted a moment before. Emailers' clocks may differ. */
async function adoptionOf({ digest, delivery }: Query, ledger: AnswerOptions["ledger"]) {
  if (digest === undefined) return null;
  const now = timeOfEmailId(delivery);
  return ledger.idEndingIn(digest, now - ADOPTION_WINDOW_MS, now + ADOPTION_WINDOW_MS);
}
