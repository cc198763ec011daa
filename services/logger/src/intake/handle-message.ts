import { createHash } from "node:crypto";
import { addAbortListener } from "node:events";
import {
  copyOf,
  isForged,
  shortString,
  type Delivery,
  type Publisher,
  type Settlement,
} from "@wellsent/amqp";
import {
  isOfKind,
  LEASE_TYPE,
  leaseSchema,
  LOGGER_PARKED_QUEUE,
  LOGGER_QUEUE,
  MAYBE_DUPLICATE,
  OUTCOMES_EXCHANGE,
  parseDeliveryId,
  QUERY_TYPE,
  readAs,
  readEmail,
  readOutcome,
  type DeliveryId,
  type Email,
  type Reason,
  type Unreadable,
} from "@wellsent/contract";
import { TransientError } from "@wellsent/runtime";
import { acceptedLines, replayedLines, toLine, type AuditLine } from "../audit/line.ts";
import type { LoggerMetrics } from "../metrics.ts";
import { answerQuery, type AnswerOptions } from "./answer-query.ts";

/** The reason of a delivery that moved down the ladder without an attempt: the lease of another copy goes on. */
const UNTRIED: Reason = "UNTRIED";

/** What the handler of the logger's queue needs. */
export interface RecordOptions extends AnswerOptions {
  /** Resolves when the line is on disk. */
  record: (line: AuditLine) => Promise<void>;
  publisher: Pick<Publisher, "publishUntilConfirmed" | "publishWithin">;
  metrics: Pick<LoggerMetrics, "unreadable">;
}

/** Creates the handler of the logger's queue: it records acceptances and outcomes, and acks them after the sync. */
export function createHandler(options: RecordOptions): (delivery: Delivery) => Promise<Settlement> {
  const recording = new Set<Promise<void>>();
  const record = (line: AuditLine) => {
    const recorded = options.record(line).finally(() => recording.delete(recorded));
    recording.add(recorded);
    return recorded;
  };
  return async (delivery) => {
    const { body, properties, signal } = delivery;
    if (properties.type === QUERY_TYPE) {
      // Every message before the query is being recorded by now, because the queue keeps their order.
      await unlessLost(signal, [...recording]);
      await answerQuery(delivery, options);
      return "ack";
    }
    if (properties.type === LEASE_TYPE) {
      const notice = readAs(leaseSchema, body);
      if (notice) options.leases.apply(notice);
      return "ack";
    }
    // A message that was held comes back through the default exchange.
    if (isForged(delivery, "")) {
      const copy = copyOf(delivery, LOGGER_QUEUE);
      await options.publisher.publishUntilConfirmed(copy, signal);
      return "ack";
    }
    return handle(delivery, { ...options, record });
  };
}

/** The exchange alone does not tell: a message that was held comes back through another one. */
function isOutcome({ exchange, properties }: Delivery): boolean {
  const type: unknown = properties.type;
  const kinds = ["outcome", "query", "lease"];
  return exchange === OUTCOMES_EXCHANGE || kinds.some((kind) => isOfKind(kind, type));
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
      await record(lines);
      return "ack";
    }
    case "outcome":
      await record([toLine(eventIdOf(delivery), message.outcome)]);
      if (message.outcome.reason !== UNTRIED) options.leases.end(message.outcome.delivery);
      return "ack";
    case "delivery":
      await record(replaysOf(message.id, message.email));
      return "ack";
    // A foreign email is recorded when it comes back adopted.
    case "foreign":
      return "ack";
    case "newer":
      return "reject";
    case "malformed":
      // The emailer parks a malformed email, and that outcome is its record; its replay is recorded here.
      if (ofOutcome) await park(delivery, message.reason, options);
      else await record(replaysOf(parseDeliveryId(delivery.properties.messageId)));
      return "ack";
  }
}

/** The first generation of a split email's delivery is recorded with the email; a later one is a replay. */
function replaysOf(id: DeliveryId | undefined, email?: Email): AuditLine[] {
  return id && id.generation > 0 ? replayedLines(id, email) : [];
}

async function park(delivery: Delivery, reason: string, options: RecordOptions): Promise<void> {
  const copy = copyOf(delivery, LOGGER_PARKED_QUEUE);
  const headers = { ...copy.headers, "x-parked-reason": reason };
  await options.publisher.publishUntilConfirmed({ ...copy, headers }, delivery.signal);
}

/** Returns the messageId, or a hash of the body if there is none, so that a repeated outcome has the same id. */
function eventIdOf({ body, properties }: Delivery): string {
  return shortString(properties.messageId) ?? createHash("sha256").update(body).digest("hex");
}

/**
 * Waits for lines to be on disk, unless the channel is lost before: then the memory of the delivery is freed.
 * @throws {TransientError} AMQP_CHANNEL_LOST
 */
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
