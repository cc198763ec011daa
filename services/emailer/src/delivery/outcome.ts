import { copyOf, type Publication, type Publisher, type Settlement } from "@wellsent/amqp";
import {
  formatDeliveryId,
  isEmailId,
  newId,
  PARKED_QUEUE,
  PARKED_WHOLE,
  REPLY_MAX,
  timeOfEmailId,
  toOutcomeMessage,
  type Outcome,
  type Reason,
} from "@wellsent/contract";
import type { Attempt } from "./attempt.ts";
import type { Config } from "../config.ts";
import type { EmailerMetrics } from "../metrics.ts";
import type { Mail } from "../mail/mime.ts";
import type { Result } from "../relay/transfer.ts";

/** What recording an outcome needs. */
export interface RecorderOptions {
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  metrics: EmailerMetrics;
}

/** Records the outcome of an attempt. */
export type Recorder = (attempt: Attempt, told: Told) => Promise<Settlement>;

/** The outcome of an attempt. */
export interface Told {
  kind: "email.sent" | "email.deferred" | "email.failed" | "email.parked";
  /** The relay's reply, or our reason. */
  reply: string;
  reason?: Reason;
  /** Absent where the message could not be read. */
  mail?: Mail;
  /** The relay that answered; absent where none was asked. */
  relay?: string;
}

/** The limits of a delivery that is not sent at once. */
export type Limits = Pick<Config["ladder"], "maxAttempts" | "onAmbiguous">;

/** Decides the outcome of an attempt from the relay's answer. */
export function conclude(
  { verdict, reason }: Result,
  { number }: Pick<Attempt, "number">,
  { maxAttempts, onAmbiguous }: Limits,
): Pick<Told, "kind" | "reason"> {
  const isLast = number >= maxAttempts;
  const isAmbiguous = verdict === "ambiguous";
  switch (verdict) {
    case "sent":
      return { kind: "email.sent" };
    case "failed":
      return { kind: "email.failed", reason: "REFUSED" };
    case "sender-refused":
      return { kind: "email.parked", reason: "SENDER_REFUSED" };
    case "ambiguous":
    case "deferred":
      if (!isLast && !(isAmbiguous && onAmbiguous === "park")) {
        return { kind: "email.deferred", ...(reason && { reason }) };
      }
      return { kind: "email.parked", reason: isAmbiguous ? "AMBIGUOUS" : "ATTEMPTS_EXHAUSTED" };
  }
}

/**
 * Creates the function that publishes the outcome of an attempt, through any outage of the broker. It resolves when the
 * outcome is confirmed, to the settlement of the message.
 */
export function createRecorder({ publisher, metrics }: RecorderOptions): Recorder {
  return async (attempt: Attempt, told: Told): Promise<Settlement> => {
    const { kind } = told;
    if (kind === "email.parked") {
      await publisher.publishUntilConfirmed(toParked(attempt, told), attempt.delivery.signal);
    }
    await publisher.publishUntilConfirmed(toPublication(attempt, told));
    metrics.outcomes.inc({ kind });
    if (attempt.possibleDuplicate) metrics.possibleDuplicates.inc();
    if (kind === "email.sent") {
      metrics.acceptToSentSeconds.observe((Date.now() - timeOfEmailId(attempt.id.email)) / 1_000);
    }
    // A rejection moves the message one rung down the ladder, in one atomic step inside the broker.
    return kind === "email.deferred" ? "reject" : "ack";
  };
}

function toPublication({ id, number, possibleDuplicate }: Attempt, { mail, reply, ...told }: Told) {
  const timestamp = Date.now();
  const outcome: Outcome = {
    delivery: formatDeliveryId(id),
    time: new Date(timestamp).toISOString(),
    ...(mail && describeMail(mail)),
    attempt: number,
    ...told,
    reply: reply.slice(0, REPLY_MAX),
    possibleDuplicate,
  };
  return { ...toOutcomeMessage(newId(), outcome), timestamp };
}

function describeMail({ envelope, subject, text }: Mail) {
  return { recipient: envelope.to, from: envelope.from, subject, bytes: Buffer.byteLength(text) };
}

/** A copy of the message for the store of parked ones, under its delivery id and with the reason. */
function toParked({ delivery, id }: Attempt, { reason, reply }: Told): Publication {
  const copy = copyOf(delivery, PARKED_QUEUE);
  const headers = {
    ...copy.headers,
    "x-parked-reason": reason,
    "x-parked-detail": reply.slice(0, 1_000),
    ...(isEmailId(delivery.properties.messageId) && { [PARKED_WHOLE]: true }),
  };
  return { ...copy, messageId: formatDeliveryId(id), headers };
}
