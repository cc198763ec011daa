import type { Settlement } from "@wellsent/amqp";
import { formatDeliveryId, recipientsOf, type Email, type Reason } from "@wellsent/contract";
import { TIMER_MAX_MS } from "@wellsent/runtime";
import { toMail, type Mail } from "../mail/mime.ts";
import type { Attempt } from "./attempt.ts";
import type { HandlerContext } from "./handler-context.ts";
import { conclude } from "./outcome.ts";
import { askAtAdmission, askBefore } from "./permission.ts";

/** Attempts a delivery, unless another copy of it is in this emailer or had better be attempted first. */
export async function deliver(
  email: Email,
  attempt: Attempt,
  context: HandlerContext,
): Promise<Settlement> {
  const { guard, transfers } = context;
  const recipient = recipientsOf(email)[attempt.id.recipient];
  if (recipient === undefined) {
    const reply = "The delivery id names a recipient that is not there";
    return parkUnread(attempt, "MESSAGE_SCHEMA", reply, context);
  }
  // Published again a moment after its first copy, which is attempted first.
  if (attempt.isMarked && attempt.rung === 1) return "reject";
  const delivery = formatDeliveryId(attempt.id);
  if (!transfers.enter(delivery)) return putOff(attempt, context);
  try {
    const mail = toMail(attempt.id.email, email, recipient, context.sender);
    const refused = await askBefore(attempt, context);
    if (refused) return await leave(refused, attempt, context);
    return await attemptMail(email, mail, attempt, context);
  } finally {
    const wasBegun = transfers.leave(delivery);
    if (!wasBegun && attempt.isLeased) guard.releaseLease(delivery);
  }
}

/** Settles a message that no relay was given. */
async function leave(settlement: Settlement, attempt: Attempt, context: HandlerContext) {
  return settlement === "reject" ? putOff(attempt, context) : settlement;
}

/**
 * Moves a delivery one rung down without an attempt. There, RabbitMQ 3.10 forgets that an emailer crashed with it, so a doubt
 * that the message itself does not carry is recorded first.
 */
async function putOff(attempt: Attempt, { record }: HandlerContext): Promise<Settlement> {
  if (!attempt.possibleDuplicate || attempt.isMarked) return "reject";
  const reply = "Not tried: another copy is in flight, sending is paused, or no relay admits mail";
  return record(attempt, { kind: "email.deferred", reason: "UNTRIED", reply });
}

/** Sends the mail and records the outcome. */
async function attemptMail(email: Email, mail: Mail, attempt: Attempt, context: HandlerContext) {
  const result = await sendInTime(email, mail, attempt, context);
  if (result === "expired") {
    const reply = `Not sent before ${String(email.expiresAt)}`;
    return context.record(attempt, { kind: "email.parked", reason: "EXPIRED", reply, mail });
  }
  if (typeof result === "string") return leave(result, attempt, context);
  const { reply, relay } = result;
  attempt.possibleDuplicate ||= result.verdict === "ambiguous";
  return context.record(attempt, { ...conclude(result, attempt, context), reply, relay, mail });
}

/**
 * Sends the mail unless it expires before a relay has it. Resolves to the relay's answer, or, if no relay was given the mail,
 * to `expired` or the settlement: a mail that no relay admits in ten minutes waits on the ladder.
 */
async function sendInTime(
  { expiresAt }: Email,
  mail: Mail,
  attempt: Attempt,
  context: HandlerContext,
) {
  if (expiresAt === undefined) return send(mail, attempt, attempt.delivery.signal, context);
  const left = Date.parse(expiresAt) - Date.now();
  if (left <= 0) return "expired";
  // A timer cannot wait longer than TIMER_MAX_MS.
  const expired = AbortSignal.timeout(Math.min(left, TIMER_MAX_MS));
  const signal = AbortSignal.any([attempt.delivery.signal, expired]);
  return send(mail, attempt, signal, context).catch((error: unknown) => {
    if (error !== expired.reason) throw error;
    return "expired" as const;
  });
}

async function send(mail: Mail, attempt: Attempt, signal: AbortSignal, context: HandlerContext) {
  let settlement: Settlement = "reject";
  const admit = async () => {
    const refused = await refuseAtAdmission(attempt, context, signal);
    if (refused) settlement = refused;
    return refused === undefined;
  };
  const result = await context.send(mail, { signal, admit });
  return result.verdict === "held" || result.verdict === "withdrawn" ? settlement : result;
}

/** The last questions before a relay is given the mail. Resolves to a settlement if it must not be. */
async function refuseAtAdmission(attempt: Attempt, context: HandlerContext, signal: AbortSignal) {
  if (!(await context.pause.over(signal))) return "reject";
  const refused = await askAtAdmission(attempt, context);
  if (!refused) context.transfers.begin(formatDeliveryId(attempt.id), attempt.delivery.signal);
  return refused;
}

/** Parks a message that cannot be sent as it is. */
export function parkUnread(
  attempt: Attempt,
  reason: Reason,
  reply: string,
  { record, log }: HandlerContext,
) {
  log.warn("parked", { delivery: formatDeliveryId(attempt.id), reason });
  return record(attempt, { kind: "email.parked", reason, reply });
}
