import { copyOf, type Publication, type Settlement } from "@wellsent/amqp";
import { formatDeliveryId, isEmailId, newEmailId, timeOfEmailId } from "@wellsent/contract";
import { PARKED_QUEUE, PARKED_WHOLE, REPLY_MAX, toOutcomeMessage } from "@wellsent/contract";
import type { Outcome, Reason } from "@wellsent/contract";
import type { Attempt } from "./attempt.ts";
import type { Config } from "../config.ts";
import type { HandlerOptions } from "./handle-delivery.ts";
import type { Mail } from "../mail/mime.ts";
import type { Result } from "../relay/transfer.ts";

/** What became of an attempt. */
export interface Told {
  kind: "email.sent" | "email.deferred" | "email.failed" | "email.parked";
  /** The relay's reply, or our words. */
  reply: string;
  reason?: Reason;
  /** Absent where the message could not be read. */
  mail?: Mail;
  /** The relay that answered, or was tried last; absent where none was asked. */
  relay?: string;
}

/** What is done with a delivery that was not taken. */
export type Limits = Pick<Config["ladder"], "maxAttempts" | "onAmbiguous">;

/** What becomes of an attempt after the relay's answer. */
export function conclude(
  { verdict, reason }: Result,
  { number, isMarked }: Pick<Attempt, "number" | "isMarked">,
  { maxAttempts, onAmbiguous }: Limits,
): Pick<Told, "kind" | "reason"> {
  // n.b. what came marked went down a rung untried, for its twin to end.
  const isLast = number - (isMarked ? 1 : 0) >= maxAttempts;
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
      if (!isLast && !(isAmbiguous && onAmbiguous === "park"))
        return { kind: "email.deferred", ...(reason && { reason }) };
      return { kind: "email.parked", reason: isAmbiguous ? "AMBIGUOUS" : "ATTEMPTS_EXHAUSTED" };
  }
}

/**
 * Creates the function that publishes what became of an attempt, through any outage of the broker. It resolves when that is
 * confirmed, to how the delivery is to be settled.
 */
export function createRecorder({ publisher, metrics }: HandlerOptions) {
  return async (attempt: Attempt, told: Told): Promise<Settlement> => {
    const { kind } = told;
    if (kind === "email.parked")
      await publisher.publishUntilConfirmed(toParked(attempt, told), attempt.delivery.signal);
    await publisher.publishUntilConfirmed(toPublication(attempt, told));
    metrics.outcomes.inc({ kind });
    if (attempt.possibleDuplicate) metrics.possibleDuplicates.inc();
    if (kind === "email.sent")
      metrics.acceptToSentSeconds.observe((Date.now() - timeOfEmailId(attempt.id.email)) / 1_000);
    // Down the ladder: the rejection is one atomic step inside the broker.
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
  return { ...toOutcomeMessage(newEmailId(), outcome), timestamp };
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
