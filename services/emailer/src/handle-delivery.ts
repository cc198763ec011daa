import {
  copyOf,
  isForged,
  Recent,
  type Delivery,
  type Log,
  type Settlement,
} from "@posthorn/chassis";
import {
  EMAILER_QUEUE,
  formatDeliveryId,
  isOurs,
  MAYBE_DUPLICATE,
  readEmail,
  recipientsOf,
  RETRY_EXCHANGE,
  type Answer,
  type Email,
  type Query,
  type Reason,
} from "@posthorn/contract";
import { adopt } from "./adopt.ts";
import { toAttempt, type Attempt } from "./attempt.ts";
import { conclude, type ConcludeOptions } from "./conclude.ts";
import { toMail, type Mail, type Sender } from "./mail.ts";
import type { EmailerMetrics } from "./metrics.ts";
import { park } from "./park.ts";
import type { Result } from "./relay.ts";
import { split } from "./split.ts";
import { createSuspects } from "./suspects.ts";

/** A delivery that so many emailers died with is parked before anything else is done with it. */
const CRASHES_MAX = 20;
/** From here on a delivery is suspected of killing emailers, and handled alone. */
const CRASHES_SUSPECT = 3;
/** The longest that a timer can wait; a relay is not waited for so long. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** In so long, in milliseconds, an emailer that lost only its connection says what became of what it had in hand. */
const HEARSAY_MS = 2_000;
/** Deliveries whose settlement is remembered: several times what can be in flight. */
const REMEMBERED = 10_000;

/** A delivery of which no more than this is recorded has not ended. */
const OPEN: readonly Answer["last"][] = [null, "email.accepted", "email.deferred"];

/** What handling a delivery needs. */
export interface HandlerOptions extends ConcludeOptions {
  /** The ladder's length. */
  rungs: number;
  sender: Sender;
  /** Hands a mail to a relay, waiting out the relay's own trouble. */
  send: (mail: Mail, signal: AbortSignal) => Promise<Result>;
  /** Asks, now or later, what is recorded of a delivery; undefined when nobody answers. */
  ask: (query: Query, signal: AbortSignal, afterMs?: number) => Promise<Answer | undefined>;
  metrics: EmailerMetrics;
  log: Log;
}

/** Creates the function that decides what becomes of each delivery from the broker. */
export function createHandler(
  options: HandlerOptions,
): (delivery: Delivery) => Promise<Settlement> {
  const { rungs, metrics } = options;
  // What comes again, or twice, is settled as the first was, without a second sending.
  const recent = new Recent<Settlement>(REMEMBERED, () => metrics.suppressed.inc());
  const alone = createSuspects();
  return (delivery) => {
    if (isForged(delivery, RETRY_EXCHANGE)) return cleanse(delivery, options);
    const attempt = toAttempt(delivery, rungs);
    const decided = () => decide(attempt, options);
    const handle = () => recent.once(keyOf(attempt), decided, isPristine(attempt));
    const settlement = attempt.crashes < CRASHES_SUSPECT ? handle() : alone(handle);
    return settlement.catch(leaveIfAborted);
  };
}

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

async function decide(attempt: Attempt, options: HandlerOptions): Promise<Settlement> {
  const { publisher, metrics } = options;
  if (attempt.crashes >= CRASHES_MAX) {
    const reply = `${attempt.crashes} emailers died or lost their connection with it`;
    return parkUnread(attempt, "CRASHED", reply, options);
  }
  const message = readEmail(attempt.delivery);
  switch (message.kind) {
    case "newer":
      return hold(message.reason, options);
    case "malformed":
      return parkUnread(attempt, message.code, message.reason, options);
    case "foreign":
      await adopt(message.email, attempt, publisher);
      metrics.adopted.inc();
      return "ack";
    case "email":
      if (recipientsOf(message.email).length === 1) return deliver(message.email, attempt, options);
      await split(message.email, attempt, publisher);
      metrics.split.inc();
      return "ack";
    case "delivery":
      return deliver(message.email, attempt, options);
  }
}

async function deliver(
  email: Email,
  attempt: Attempt,
  options: HandlerOptions,
): Promise<Settlement> {
  const { id, delivery } = attempt;
  const recipient = recipientsOf(email)[id.recipient];
  if (recipient === undefined) {
    const reply = "The delivery id names a recipient that is not there";
    return parkUnread(attempt, "MESSAGE_SCHEMA", reply, options);
  }
  const known = isPristine(attempt) ? attempt : await settleDoubt(attempt, options);
  if (known === "ended") return "ack";
  if (known === "unheard") return "reject";
  const mail = toMail(id.email, email, recipient, options.sender);
  const expired = expiryOf(email);
  const result = await unlessExpired(expired, (signal) => options.send(mail, signal), delivery);
  if (result) return conclude(known, mail, result, options);
  const reply = `Not sent before ${String(email.expiresAt)}`;
  return park(known, { reason: "EXPIRED", reply, mail }, options);
}

/** Aborts when an email is not to be sent any more. */
function expiryOf({ expiresAt }: Email): AbortSignal | undefined {
  if (expiresAt === undefined) return undefined;
  const left = Date.parse(expiresAt) - Date.now();
  return left <= 0 ? AbortSignal.abort() : AbortSignal.timeout(Math.min(left, TIMER_MAX_MS));
}

/** What was handed to the relay in time is concluded, however long its answer takes. */
async function unlessExpired<T>(
  expired: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  { signal }: Delivery,
): Promise<T | undefined> {
  if (!expired) return work(signal);
  return work(AbortSignal.any([signal, expired])).catch((error: unknown) => {
    if (error !== expired.reason) throw error;
    return undefined;
  });
}

/** Whether nothing can have become of it yet: it was in nobody's hands before. */
function isPristine({ number, possibleDuplicate }: Attempt): boolean {
  return number === 1 && !possibleDuplicate;
}

/**
 * Whether a copy of it may be in another emailer's hands at this moment; a rung later it is known what became of that.
 * A broker that dies while it moves a message down the ladder may move it again.
 */
function mayHaveTwin({ number, crashes, delivery }: Attempt, { twin }: Answer): boolean {
  const isMarked = delivery.properties.headers?.[MAYBE_DUPLICATE] === true;
  return (twin === true && crashes === 0) || (number === 1 && isMarked);
}

/** Asks about a delivery that may have been made before: known duplicates end here, possible ones are flagged. */
async function settleDoubt(
  attempt: Attempt,
  options: HandlerOptions,
): Promise<Attempt | "ended" | "unheard"> {
  const { metrics } = options;
  const answer = await askTwice(attempt, options);
  if (!answer) metrics.unanswered.inc();
  if (answer && !OPEN.includes(answer.last)) {
    metrics.suppressed.inc();
    return "ended";
  }
  if (answer && mayHaveTwin(attempt, answer)) return "unheard";
  const doubtful = !answer?.whole || answer.possibleDuplicate || attempt.possibleDuplicate;
  return { ...attempt, possibleDuplicate: doubtful };
}

/** n.b. the emailer that had it may still be talking to the relay: only its connection to the broker may be lost. */
async function askTwice(
  { id, number, crashes, delivery: { signal } }: Attempt,
  { ask }: HandlerOptions,
): Promise<Answer | undefined> {
  const query = { delivery: formatDeliveryId(id), attempt: number };
  const answer = await ask(query, signal);
  if (!answer || crashes !== 1 || !OPEN.includes(answer.last)) return answer;
  return ask(query, signal, HEARSAY_MS);
}

async function parkUnread(
  attempt: Attempt,
  reason: Reason,
  reply: string,
  options: HandlerOptions,
): Promise<Settlement> {
  options.log.warn("parked", { delivery: formatDeliveryId(attempt.id), reason });
  return park(attempt, { reason, reply }, options);
}

/** It waits on the ladder, at whatever length, for an emailer that can read it. */
function hold(reason: string, { metrics, log }: HandlerOptions): Settlement {
  metrics.held.inc();
  log.warn("held on the ladder: a newer emailer must read it", { reason });
  return "reject";
}
