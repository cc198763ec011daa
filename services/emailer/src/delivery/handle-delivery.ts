import { copyOf, isForged } from "@wellsent/amqp";
import { createRecent, TIMER_MAX_MS } from "@wellsent/runtime";
import type { Delivery, Publisher, Settlement } from "@wellsent/amqp";
import type { Log } from "@wellsent/runtime";
import { EMAILER_QUEUE, RETRY_EXCHANGE } from "@wellsent/contract";
import { formatDeliveryId, isOurs, readEmail, recipientsOf } from "@wellsent/contract";
import type { Answer, Email, Query, Reason } from "@wellsent/contract";
import { toAdopted, toAttempt, toDeliveries, type Attempt } from "./attempt.ts";
import { toMail, type Mail, type Sender } from "../mail/mime.ts";
import type { EmailerMetrics } from "../metrics.ts";
import { conclude, createRecorder, type Limits } from "./outcome.ts";
import type { SendOptions, SendResult } from "../relay/relays.ts";
import { createSuspects } from "./quarantine.ts";

/** A delivery that so many emailers died with is parked before anything else is done with it. */
const CRASHES_MAX = 20;
/** From here on a delivery is suspected of killing emailers, and handled alone. */
const CRASHES_SUSPECT = 3;
/** In so long, in milliseconds, an emailer that lost only its connection says what became of what it had in hand. */
const HEARSAY_MS = 2_000;
/** Deliveries whose settlement is remembered: several times what can be in flight. */
const REMEMBERED = 10_000;

/** A delivery of which no more than this is recorded has not ended. */
const OPEN: readonly Answer["last"][] = [null, "email.accepted", "email.deferred"];

/** What handling a delivery needs. */
export interface HandlerOptions extends Limits {
  sender: Sender;
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  /** Hands a mail to a relay, waiting out the relay's own trouble. */
  send: (mail: Mail, options: SendOptions) => Promise<SendResult>;
  /** Asks, now or later, what is recorded of a delivery; undefined when nobody answers. */
  ask: (query: Query, signal: AbortSignal, afterMs?: number) => Promise<Answer | undefined>;
  metrics: EmailerMetrics;
  log: Log;
}

/** Creates the function that decides what becomes of each delivery from the broker. */
export function createHandler(options: HandlerOptions) {
  const { metrics } = options;
  // What comes again, or twice, is settled as the first was, without a second sending.
  const recent = createRecent<Settlement>(REMEMBERED, () => metrics.suppressed.inc());
  const alone = createSuspects();
  const context = { ...options, record: createRecorder(options) };
  return (delivery: Delivery): Promise<Settlement> => {
    if (isForged(delivery, RETRY_EXCHANGE)) return cleanse(delivery, options);
    const attempt = toAttempt(delivery);
    const decided = () => decide(attempt, context);
    const handle = () => recent.once(keyOf(attempt), decided, isPristine(attempt));
    const settlement = attempt.crashes < CRASHES_SUSPECT ? handle() : alone(handle);
    return settlement.catch(leaveIfAborted);
  };
}

type Context = HandlerOptions & { record: ReturnType<typeof createRecorder> };

/** Has the message come again without what its publisher should not have written. */
async function cleanse(delivery: Delivery, { publisher }: HandlerOptions): Promise<Settlement> {
  await publisher.publishUntilConfirmed(copyOf(delivery, EMAILER_QUEUE), delivery.signal);
  return "ack";
}

/** What was not handed to a relay, because its channel was lost or the emailer stops, goes back to the broker. */
function leaveIfAborted(error: unknown): Settlement {
  if (error instanceof Error && error.name === "AbortError") return "leave";
  throw error;
}

/** What came without an id of ours has nothing to be recognised by, so its key is its own. */
function keyOf({ delivery, id, number }: Attempt): string {
  const { properties } = delivery;
  return `${isOurs(properties) ? String(properties.messageId) : formatDeliveryId(id)}#${number}`;
}

async function decide(attempt: Attempt, context: Context): Promise<Settlement> {
  const { publisher, metrics, log } = context;
  const { signal } = attempt.delivery;
  if (attempt.crashes >= CRASHES_MAX) {
    const reply = `${attempt.crashes} emailers died or lost their connection with it`;
    return parkUnread(attempt, "CRASHED", reply, context);
  }
  const message = readEmail(attempt.delivery);
  switch (message.kind) {
    case "newer":
      // It waits on the ladder, at whatever length, for an emailer that can read it.
      metrics.held.inc();
      log.warn("held on the ladder: a newer emailer must read it", { reason: message.reason });
      return "reject";
    case "malformed":
      return parkUnread(attempt, message.code, message.reason, context);
    case "foreign":
      await publisher.publishUntilConfirmed(toAdopted(message.email, attempt), signal);
      return "ack";
    case "email":
      if (recipientsOf(message.email).length === 1) return deliver(message.email, attempt, context);
      // n.b. one at a time: fifty copies of a large body at once are no email's memory.
      for (const one of toDeliveries(message.email, attempt))
        await publisher.publishUntilConfirmed(one, signal);
      return "ack";
    case "delivery":
      return deliver(message.email, attempt, context);
  }
}

function parkUnread(attempt: Attempt, reason: Reason, reply: string, { record, log }: Context) {
  log.warn("parked", { delivery: formatDeliveryId(attempt.id), reason });
  return record(attempt, { kind: "email.parked", reason, reply });
}

async function deliver(email: Email, attempt: Attempt, context: Context): Promise<Settlement> {
  const { id, delivery } = attempt;
  const recipient = recipientsOf(email)[id.recipient];
  if (recipient === undefined) {
    const reply = "The delivery id names a recipient that is not there";
    return parkUnread(attempt, "MESSAGE_SCHEMA", reply, context);
  }
  const settled = isPristine(attempt) ? undefined : await settleDoubt(attempt, context);
  if (settled) return settled;
  const mail = toMail(id.email, email, recipient, context.sender);
  const result = await handOver(email, mail, delivery.signal, context);
  if (!result) {
    const reply = `Not sent before ${String(email.expiresAt)}`;
    return context.record(attempt, { kind: "email.parked", reason: "EXPIRED", reply, mail });
  }
  // No relay admitted it in ten minutes: it waits on the ladder, and nothing counts as a crash.
  if (result.verdict === "held" || result.verdict === "withdrawn") return "reject";
  const { verdict, reply, relay } = result;
  attempt.possibleDuplicate ||= verdict === "ambiguous";
  return context.record(attempt, { ...conclude(result, attempt, context), reply, relay, mail });
}

/** Sends what has not expired, and gives it up when it does. What was handed to the relay in time is waited for. */
async function handOver({ expiresAt }: Email, mail: Mail, signal: AbortSignal, { send }: Context) {
  const admit = () => Promise.resolve(true);
  if (expiresAt === undefined) return send(mail, { signal, admit });
  const left = Date.parse(expiresAt) - Date.now();
  if (left <= 0) return undefined;
  // n.b. a relay is not waited for longer than a timer can wait.
  const expired = AbortSignal.timeout(Math.min(left, TIMER_MAX_MS));
  return send(mail, { signal: AbortSignal.any([signal, expired]), admit }).catch(
    (error: unknown) => {
      if (error !== expired.reason) throw error;
      return undefined;
    },
  );
}

/** Whether nothing can have become of it yet: it was in nobody's hands before. */
function isPristine({ number, possibleDuplicate }: Attempt): boolean {
  return number === 1 && !possibleDuplicate;
}

/**
 * Asks about a delivery that may have been made before: known duplicates are settled here, possible ones flagged; and
 * one whose twin may be in other hands goes a rung down.
 */
async function settleDoubt(attempt: Attempt, options: Context): Promise<Settlement | undefined> {
  const { metrics } = options;
  const answer = await askTwice(attempt, options);
  if (!answer) metrics.unanswered.inc();
  if (answer && !OPEN.includes(answer.last)) {
    metrics.suppressed.inc();
    return "ack";
  }
  if (answer?.twin) return "reject";
  attempt.possibleDuplicate ||= !answer?.whole || answer.possibleDuplicate;
  return undefined;
}

/** n.b. the emailer that had it may still be talking to the relay: only its connection to the broker may be lost. */
async function askTwice(attempt: Attempt, { ask }: Context): Promise<Answer | undefined> {
  const { id, number, crashes, isMarked, delivery } = attempt;
  const copy = { marked: isMarked, again: crashes > 0 };
  const query = { delivery: formatDeliveryId(id), attempt: number, ...copy };
  const answer = await ask(query, delivery.signal);
  if (!answer || answer.twin || crashes !== 1 || !OPEN.includes(answer.last)) return answer;
  return ask(query, delivery.signal, HEARSAY_MS);
}
