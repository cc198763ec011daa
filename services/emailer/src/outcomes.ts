import type { Publisher } from "@posthorn/chassis";
import {
  formatDeliveryId,
  newEmailId,
  OUTCOME_TYPE,
  OUTCOMES_EXCHANGE,
  REPLY_MAX,
  type Outcome,
  type Reason,
} from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import type { Mail } from "./mail.ts";
import type { EmailerMetrics } from "./metrics.ts";

/** What an outcome tells beyond its kind. */
export interface Told {
  /** The relay's reply, or our words. */
  reply: string;
  reason?: Reason;
  /** Absent where the message could not be read. */
  mail?: Mail;
  /** The relay that answered, or was tried last; absent where none was asked. */
  relay?: string;
}

/** Publishes what became of an attempt; its delivery is settled only after that is confirmed. */
export type RecordOutcome = (kind: Outcome["kind"], attempt: Attempt, told: Told) => Promise<void>;

/** Creates the function that records outcomes, through any outage of the broker. */
export function createRecorder(publisher: Publisher, metrics: EmailerMetrics): RecordOutcome {
  return async (kind, attempt, told) => {
    const now = Date.now();
    const outcome = toOutcome(kind, attempt, told, now);
    await publisher.publishUntilConfirmed({
      exchange: OUTCOMES_EXCHANGE,
      routingKey: kind,
      // The event's id: the same however often it is published.
      messageId: newEmailId(),
      type: OUTCOME_TYPE,
      timestamp: now,
      body: Buffer.from(JSON.stringify(outcome)),
    });
    metrics.outcomes.inc({ kind });
    if (attempt.possibleDuplicate) metrics.possibleDuplicates.inc();
  };
}

function toOutcome(
  kind: Outcome["kind"],
  { id, number, possibleDuplicate }: Attempt,
  { mail, reply, ...told }: Told,
  now: number,
): Outcome {
  return {
    kind,
    delivery: formatDeliveryId(id),
    time: new Date(now).toISOString(),
    ...(mail && describeMail(mail)),
    attempt: number,
    ...told,
    reply: reply.slice(0, REPLY_MAX),
    possibleDuplicate,
  };
}

function describeMail({ envelope, subject, text }: Mail) {
  return { recipient: envelope.to, from: envelope.from, subject, bytes: Buffer.byteLength(text) };
}
