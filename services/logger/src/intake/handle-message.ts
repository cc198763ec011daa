import { createHash } from "node:crypto";
import { addAbortListener } from "node:events";
import { copyOf, isForged, shortString } from "@wellsent/amqp";
import { describe, TransientError } from "@wellsent/runtime";
import type { Delivery, Publisher, Settlement } from "@wellsent/amqp";
import type { Ledger } from "@wellsent/ledger";
import type { Log } from "@wellsent/runtime";
import { ANSWER_TYPE, QUERY_TYPE, querySchema, REPLY_QUEUE } from "@wellsent/contract";
import { LOGGER_PARKED_QUEUE, LOGGER_QUEUE, OUTCOMES_EXCHANGE } from "@wellsent/contract";
import { MAYBE_DUPLICATE, newEmailId, parseDeliveryId } from "@wellsent/contract";
import { isOfKind, readAs, readEmail, readOutcome } from "@wellsent/contract";
import type { DeliveryId, Email, Unreadable } from "@wellsent/contract";
import { acceptedLines, replayedLines, toLine, type AuditLine } from "../audit/line.ts";
import type { LoggerMetrics } from "../metrics.ts";
import type { Twins } from "./attempt-leases.ts";

/** The query may have come before the publisher is connected again. */
const ANSWER_MS = 10_000;

/** What the handler of records needs. */
export interface RecordOptions {
  /** Resolves when the line is on disk. */
  record: (line: AuditLine) => Promise<void>;
  publisher: Pick<Publisher, "publishUntilConfirmed" | "publishWithin">;
  ledger: Pick<Ledger, "statusOf">;
  /** Told of each delivery that is accepted, perhaps again, and of each with an outcome that is on disk. */
  twins: Twins;
  metrics: Pick<LoggerMetrics, "unreadable">;
  log: Log;
}

/** Creates the handler of the logger's queue: records what is accepted and what became of it, and acks after the sync. */
export function createHandler(options: RecordOptions): (delivery: Delivery) => Promise<Settlement> {
  const underWay = new Set<Promise<void>>();
  const record = (line: AuditLine) => {
    const recorded = options.record(line).finally(() => underWay.delete(recorded));
    underWay.add(recorded);
    return recorded;
  };
  return async (delivery) => {
    // n.b. all that came before the query has begun to be recorded by now, in the order of the queue.
    if (delivery.properties.type === QUERY_TYPE) return reply(delivery, [...underWay], options);
    // What was held comes back through the default exchange.
    if (isForged(delivery, "")) {
      const copy = copyOf(delivery, LOGGER_QUEUE);
      await options.publisher.publishUntilConfirmed(copy, delivery.signal);
      return "ack";
    }
    return handle(delivery, { ...options, record });
  };
}

/** n.b. not by the exchange alone: a message that was held comes back through another one. */
function isOutcome({ exchange, properties }: Delivery): boolean {
  const type: unknown = properties.type;
  return exchange === OUTCOMES_EXCHANGE || isOfKind("outcome", type) || isOfKind("query", type);
}

async function handle(delivery: Delivery, options: RecordOptions): Promise<Settlement> {
  const ofOutcome = isOutcome(delivery);
  const message = ofOutcome ? readOutcome(delivery) : readEmail(delivery);
  const record = (lines: readonly AuditLine[]) =>
    unlessLost(delivery.signal, lines.map(options.record));
  if ("code" in message) explain(message, options);
  switch (message.kind) {
    case "email": {
      const maybeDuplicate = delivery.properties.headers?.[MAYBE_DUPLICATE] === true;
      const lines = acceptedLines(message.id, message.email, maybeDuplicate);
      // The record holds no body, so none is kept while the lines wait for the disk.
      delivery.dropBody();
      for (const line of lines) options.twins.accepted(line.delivery, maybeDuplicate);
      await record(lines);
      return "ack";
    }
    case "outcome":
      await record([toLine(eventIdOf(delivery), message.outcome)]);
      options.twins.ended(message.outcome.delivery);
      return "ack";
    case "delivery":
      await record(replaysOf(message.id, message.email));
      return "ack";
    // An unnamed email comes back adopted.
    case "foreign":
      return "ack";
    case "newer":
      return "reject";
    case "malformed":
      // A malformed email is parked by the emailer, and that outcome is its record; but its replay is ours to record.
      if (ofOutcome) await park(delivery, message.reason, options);
      else await record(replaysOf(parseDeliveryId(delivery.properties.messageId)));
      return "ack";
  }
}

/** Of a split email the first generation was recorded with the email; a later one is a replay. */
function replaysOf(id: DeliveryId | undefined, email?: Email): AuditLine[] {
  return id && id.generation > 0 ? replayedLines(id, email) : [];
}

async function park(delivery: Delivery, reason: string, options: RecordOptions): Promise<void> {
  const copy = copyOf(delivery, LOGGER_PARKED_QUEUE);
  const headers = { ...copy.headers, "x-parked-reason": reason };
  await options.publisher.publishUntilConfirmed({ ...copy, headers }, delivery.signal);
}

/** The messageId; without one, what tells this outcome from others: its body. */
function eventIdOf({ body, properties }: Delivery): string {
  return shortString(properties.messageId) ?? createHash("sha256").update(body).digest("hex");
}

/** Answers when everything that came before the query is committed; whoever asked may be gone. */
async function reply(
  { body, properties, signal }: Delivery,
  before: readonly Promise<void>[],
  { publisher, ledger, twins, log }: RecordOptions,
): Promise<Settlement> {
  await unlessLost(signal, before);
  const query = readAs(querySchema, body);
  // n.b. a name of its own choosing would have us write into any queue.
  const replyTo = shortString(properties.replyTo);
  if (!query || !replyTo?.startsWith(`${REPLY_QUEUE}.`)) return "ack";
  const correlationId = shortString(properties.correlationId);
  const { whole, last, possibleDuplicate } = await ledger.statusOf(query.delivery);
  const known = { delivery: query.delivery, whole, last, possibleDuplicate };
  const answer = { ...known, twin: twins.hasTwin(query) };
  const publication = {
    exchange: "",
    routingKey: replyTo,
    type: ANSWER_TYPE,
    messageId: newEmailId(),
    ...(correlationId && { correlationId }),
    body: Buffer.from(JSON.stringify(answer)),
  };
  await publisher
    .publishWithin(publication, ANSWER_MS)
    .catch((error: unknown) => log.debug("query not answered", describe(error)));
  return "ack";
}

/** Lets go of a delivery whose channel is lost, and of the memory it takes, while its lines wait for the disk. */
async function unlessLost(signal: AbortSignal, recording: readonly Promise<void>[]): Promise<void> {
  const lost = Promise.withResolvers<never>();
  const lose = () =>
    lost.reject(new TransientError("AMQP_CHANNEL_LOST", "The broker hands the message over again"));
  const listener = addAbortListener(signal, lose);
  const recorded = Promise.all(recording);
  await Promise.race([recorded, lost.promise]).finally(() => listener[Symbol.dispose]());
}

function explain({ kind, code }: Unreadable, { metrics, log }: RecordOptions): void {
  metrics.unreadable.inc({ code });
  log.warn(kind === "newer" ? "message of a newer version held" : "message unreadable", { code });
}
