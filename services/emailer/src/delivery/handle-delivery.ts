import { copyOf, isForged, type Delivery, type Publisher, type Settlement } from "@wellsent/amqp";
import {
  EMAILER_QUEUE,
  formatDeliveryId,
  isOurs,
  readEmail,
  recipientsOf,
  RETRY_EXCHANGE,
  type Email,
  type Reason,
} from "@wellsent/contract";
import { SingleFlight, remember, TIMER_MAX_MS, type Log } from "@wellsent/runtime";
import type { Pause } from "../control/pause.ts";
import { toMail, type Mail, type Sender } from "../mail/mime.ts";
import type { EmailerMetrics } from "../metrics.ts";
import type { SendOptions, SendResult } from "../relay/relays.ts";
import { adopt } from "./adopt.ts";
import { toAttempt, type Attempt } from "./attempt.ts";
import type { Guard } from "./guard.ts";
import { conclude, createRecorder, type Limits, type Recorder } from "./outcome.ts";
import { askAtAdmission, askBefore, hearOthers, type PermissionOptions } from "./permission.ts";
import { createQuarantine } from "./quarantine.ts";
import { toDeliveries } from "./split.ts";
import type { Transfers } from "./transfers.ts";

/** A message that this many emailers crashed with is parked before anything else is done with it. */
const CRASHES_MAX = 20;
/** From this many crashes on a message is in quarantine: it is handled alone. */
const CRASHES_SUSPECT = 3;
/** Messages whose settlement is remembered: several times those that can be in flight. */
const REMEMBERED = 10_000;

/** What handling a message needs. */
export interface HandlerOptions extends Limits {
  sender: Sender;
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  /** Sends a mail by a relay, waiting out the relays' own trouble. */
  send: (mail: Mail, options: SendOptions) => Promise<SendResult>;
  guard: Pick<Guard, "ask" | "releaseLease" | "wait">;
  transfers: Pick<Transfers, "enter" | "begin" | "leave">;
  /** Resolves to false when an operator's pause lasts too long for a mail to wait for its end. */
  pause: Pick<Pause, "over">;
  metrics: EmailerMetrics;
  log: Log;
}

interface Context extends HandlerOptions, Omit<PermissionOptions, "metrics"> {
  record: Recorder;
}

/** Creates the function that handles each message from the broker, and decides its settlement. */
export function createHandler(options: HandlerOptions) {
  const { metrics, guard } = options;
  // A message that the broker delivers again, or twice, is settled as before, without a second mail.
  const recent = new SingleFlight<Settlement>(REMEMBERED, () => metrics.suppressed.inc());
  const quarantine = createQuarantine();
  const context: Context = {
    ...options,
    record: createRecorder(options),
    ask: (delivery, how) => guard.ask(delivery, how),
    wait: (ms, signal) => guard.wait(ms, signal),
  };
  /** Messages that only this emailer had, and gave to no relay, with their crashes before. */
  const untouched = new Map<string, number>();
  const read = (delivery: Delivery): Attempt => {
    const attempt = toAttempt(delivery);
    const isUntouched = untouched.get(keyOf(attempt)) === attempt.crashes - 1;
    return isUntouched ? toAttempt(delivery, true) : attempt;
  };
  return async (delivery: Delivery): Promise<Settlement> => {
    if (isForged(delivery, RETRY_EXCHANGE)) return cleanse(delivery, options);
    const attempt = read(delivery);
    const key = keyOf(attempt);
    const once = () =>
      recent.runOnce(key, () => handle(attempt, context), attempt.doubt === "none");
    try {
      const { crashes } = attempt;
      if (crashes < CRASHES_SUSPECT || crashes >= CRASHES_MAX) return await once();
      // Waiting for others kills no emailer, so it is done beside the others in quarantine.
      await hearOthers(attempt, context);
      return await quarantine(once);
    } catch (error) {
      if (!isAbort(error)) throw error;
      // The channel is lost, or the emailer stops, and no relay was given the final dot: the broker takes the message back.
      // An earlier emailer that crashed with it may have sent it, so that doubt stays.
      if (!attempt.possibleDuplicate) remember(untouched, key, attempt.crashes, REMEMBERED);
      return "leave";
    }
  };
}

/** Publishes the message again without the headers that only a broker should write. */
async function cleanse(delivery: Delivery, { publisher }: HandlerOptions): Promise<Settlement> {
  await publisher.publishUntilConfirmed(copyOf(delivery, EMAILER_QUEUE), delivery.signal);
  return "ack";
}

function isAbort(error: unknown): boolean {
  return (error as Partial<Error> | undefined)?.name === "AbortError";
}

/** A foreign message has no id by which to recognise it, so its key is unique. A marked message is another copy. */
function keyOf({ delivery, id, rung, isMarked }: Attempt): string {
  const { properties } = delivery;
  const name = isOurs(properties) ? String(properties.messageId) : formatDeliveryId(id);
  return `${name}#${rung}${isMarked ? " marked" : ""}`;
}

async function handle(attempt: Attempt, context: Context): Promise<Settlement> {
  if (attempt.crashes >= CRASHES_MAX) return parkCrashed(attempt, context);
  const message = readEmail(attempt.delivery);
  switch (message.kind) {
    case "newer":
      return hold(message.reason, context);
    case "malformed":
      return parkUnread(attempt, message.code, message.reason, context);
    case "foreign":
      return adopt(message.email, attempt, context);
    case "email":
      if (recipientsOf(message.email).length > 1) return split(message.email, attempt, context);
      return deliver(message.email, attempt, context);
    case "delivery":
      return deliver(message.email, attempt, context);
  }
}

function parkCrashed(attempt: Attempt, context: Context): Promise<Settlement> {
  const reply = `${attempt.crashes} emailers crashed or lost their connection with it`;
  return parkUnread(attempt, "CRASHED", reply, context);
}

/** Leaves the message on the ladder, for as long as it takes until a newer emailer reads it. */
function hold(reason: string, { metrics, log }: Context): Settlement {
  metrics.held.inc();
  log.warn("held on the ladder: a newer emailer must read it", { reason });
  return "reject";
}

function parkUnread(attempt: Attempt, reason: Reason, reply: string, { record, log }: Context) {
  log.warn("parked", { delivery: formatDeliveryId(attempt.id), reason });
  return record(attempt, { kind: "email.parked", reason, reply });
}

/** Publishes the deliveries one at a time, because fifty copies of a large body would take too much memory. */
async function split(email: Email, attempt: Attempt, { publisher }: Context): Promise<Settlement> {
  for (const one of toDeliveries(email, attempt)) {
    await publisher.publishUntilConfirmed(one, attempt.delivery.signal);
  }
  return "ack";
}

/** Attempts a delivery, unless another copy of it is in this emailer or had better be attempted first. */
async function deliver(email: Email, attempt: Attempt, context: Context): Promise<Settlement> {
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
async function leave(settlement: Settlement, attempt: Attempt, context: Context) {
  return settlement === "reject" ? putOff(attempt, context) : settlement;
}

/**
 * Moves a delivery one rung down without an attempt. There, RabbitMQ 3.10 forgets that an emailer crashed with it, so a doubt
 * that the message itself does not carry is recorded first.
 */
async function putOff(attempt: Attempt, { record }: Context): Promise<Settlement> {
  if (!attempt.possibleDuplicate || attempt.isMarked) return "reject";
  const reply = "Not tried: another copy is in flight, sending is paused, or no relay admits mail";
  return record(attempt, { kind: "email.deferred", reason: "UNTRIED", reply });
}

/** Sends the mail and records the outcome. */
async function attemptMail(email: Email, mail: Mail, attempt: Attempt, context: Context) {
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
async function sendInTime({ expiresAt }: Email, mail: Mail, attempt: Attempt, context: Context) {
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

async function send(mail: Mail, attempt: Attempt, signal: AbortSignal, context: Context) {
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
async function refuseAtAdmission(attempt: Attempt, context: Context, signal: AbortSignal) {
  if (!(await context.pause.over(signal))) return "reject";
  const refused = await askAtAdmission(attempt, context);
  if (!refused) context.transfers.begin(formatDeliveryId(attempt.id), attempt.delivery.signal);
  return refused;
}
