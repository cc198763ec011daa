import { createHash } from "node:crypto";
import { addAbortListener } from "node:events";
import {
  copyOf,
  isForged,
  shortString,
  TransientError,
  type Delivery,
  type Log,
  type Publication,
  type Settlement,
} from "@posthorn/chassis";
import {
  LOGGER_PARKED_QUEUE,
  LOGGER_QUEUE,
  MAYBE_DUPLICATE,
  OUTCOMES_EXCHANGE,
  readEmail,
  readOutcome,
  type Unreadable,
} from "@posthorn/contract";
import { acceptedLines, toLine, type AuditLine } from "./audit-line.ts";
import type { LoggerMetrics } from "./metrics.ts";

/** What the handler of records needs. */
export interface RecordOptions {
  /** Resolves when the line is on disk. */
  record: (line: AuditLine) => Promise<void>;
  /** Publishes until it is confirmed. */
  publish: (publication: Publication, signal: AbortSignal) => Promise<void>;
  metrics: Pick<LoggerMetrics, "unreadable">;
  log: Log;
}

/** Creates the handler of the logger's queue: records what is accepted and what became of it, and acks after the sync. */
export function createHandler(options: RecordOptions): (delivery: Delivery) => Promise<Settlement> {
  return async (delivery) => {
    // What was held comes back through the default exchange.
    if (isForged(delivery, "")) {
      await options.publish(copyOf(delivery, LOGGER_QUEUE), delivery.signal);
      return "ack";
    }
    return handle(delivery, options);
  };
}

/** n.b. not by the exchange alone: a message that was held comes back through another one. */
function isOutcome({ exchange, properties }: Delivery): boolean {
  const type: unknown = properties.type;
  return exchange === OUTCOMES_EXCHANGE || String(type).startsWith("outcome.v");
}

async function handle(delivery: Delivery, options: RecordOptions): Promise<Settlement> {
  const ofOutcome = isOutcome(delivery);
  const message = ofOutcome ? readOutcome(delivery) : readEmail(delivery);
  switch (message.kind) {
    case "email": {
      const maybeDuplicate = delivery.properties.headers?.[MAYBE_DUPLICATE] === true;
      const lines = acceptedLines(message.id, message.email, maybeDuplicate);
      await recordAll(lines, delivery, options);
      return "ack";
    }
    case "outcome":
      await recordAll([toLine(eventIdOf(delivery), message.outcome)], delivery, options);
      return "ack";
    // An unnamed email comes back adopted, and one recipient's delivery belongs to an email that was recorded.
    case "foreign":
    case "delivery":
      return "ack";
    case "newer":
      explain(message, options);
      return "reject";
    case "malformed":
      explain(message, options);
      // A malformed email is parked by the emailer, and that outcome is its record.
      if (ofOutcome) await park(delivery, message.reason, options);
      return "ack";
  }
}

async function park(delivery: Delivery, reason: string, { publish }: RecordOptions): Promise<void> {
  const copy = copyOf(delivery, LOGGER_PARKED_QUEUE);
  const headers = { ...copy.headers, "x-parked-reason": reason };
  await publish({ ...copy, headers }, delivery.signal);
}

/** The messageId; without one, what tells this outcome from others: its body. */
function eventIdOf({ body, properties }: Delivery): string {
  return shortString(properties.messageId) ?? createHash("sha256").update(body).digest("hex");
}

/** Lets go of a delivery whose channel is lost, and of the memory it takes, while its lines wait for the disk. */
async function recordAll(
  lines: readonly AuditLine[],
  { signal }: Delivery,
  { record }: RecordOptions,
): Promise<void> {
  const lost = Promise.withResolvers<never>();
  const lose = () =>
    lost.reject(new TransientError("AMQP_CHANNEL_LOST", "The broker hands the message over again"));
  const listener = addAbortListener(signal, lose);
  const recorded = Promise.all(lines.map(record));
  await Promise.race([recorded, lost.promise]).finally(() => listener[Symbol.dispose]());
}

function explain({ kind, code }: Unreadable, { metrics, log }: RecordOptions): void {
  metrics.unreadable.inc({ code });
  log.warn(kind === "newer" ? "message of a newer version held" : "message unreadable", { code });
}
