import { type Delivery, type Log, type Publisher, type Settlement } from "@posthorn/chassis";
import {
  formatDeliveryId,
  isEmailId,
  newEmailId,
  parseDeliveryId,
  readEmail,
  recipientsOf,
  timeOfEmailId,
  type DeliveryId,
  type Email,
  type Outcome,
  type Reason,
} from "@posthorn/contract";
import { adopt } from "./adopt.ts";
import { onlyDelivery, toAttempt, type Attempt } from "./attempt.ts";
import { Gate } from "./gate.ts";
import { toMail, type Mail, type Sender } from "./mail.ts";
import type { EmailerMetrics } from "./metrics.ts";
import type { RecordOutcome } from "./outcomes.ts";
import { park } from "./park.ts";
import { Recent } from "./recent.ts";
import type { Result } from "./relay.ts";
import { split } from "./split.ts";

/** A delivery that so many emailers died with is parked before anything else is done with it. */
const CRASHES_MAX = 20;
/** From here on a delivery is suspected of killing emailers, and handled alone. */
const CRASHES_SUSPECT = 3;

/** What handling a delivery needs. */
export interface Deps {
  ladder: { seconds: readonly number[]; maxAttempts: number; onAmbiguous: "retry" | "park" };
  sender: Sender;
  publisher: Publisher;
  record: RecordOutcome;
  /** Hands a mail to a relay, waiting out the relay's own trouble. */
  send: (mail: Mail, signal: AbortSignal) => Promise<Result>;
  relay: string;
  metrics: EmailerMetrics;
  log: Log;
}

/** One recipient's delivery, on its way. */
interface Going {
  id: DeliveryId;
  email: Email;
  recipient: string;
  attempt: Attempt;
  delivery: Delivery;
}

/** Creates the function that decides what becomes of each delivery from the broker. */
export function createHandler(deps: Deps): (delivery: Delivery) => Promise<Settlement> {
  const recent = new Recent<Settlement>(() => {
    deps.metrics.suppressed.inc();
  });
  // In a random order: a suspect that kills the emailer again must not always keep the same innocents behind it.
  const suspects = new Gate(1, (waiting) => Math.floor(Math.random() * waiting));
  return async (delivery) => {
    const attempt = toAttempt(delivery, deps.ladder.seconds.length);
    const handle = () =>
      recent.once(keyOf(delivery, attempt), () => decide(delivery, attempt, deps));
    const settlement = attempt.crashes < CRASHES_SUSPECT ? handle() : suspects.through(handle);
    return settlement.catch(leaveIfAborted);
  };
}

/** What was not handed to a relay, because its channel was lost or the emailer stops, goes back to the broker. */
function leaveIfAborted(error: unknown): Settlement {
  if (error instanceof Error && error.name === "AbortError") return "leave";
  throw error;
}

/** A message without an id has nothing to be recognised by, so its key is its own. */
function keyOf({ properties }: Delivery, attempt: Attempt): string {
  return `${String(properties.messageId ?? newEmailId())}#${attempt.number}`;
}

async function decide(delivery: Delivery, attempt: Attempt, deps: Deps): Promise<Settlement> {
  if (attempt.crashes >= CRASHES_MAX) {
    return parkUnread(
      delivery,
      attempt,
      "CRASHED",
      `${attempt.crashes} emailers died or lost their connection with it`,
      deps,
    );
  }
  const message = readEmail(delivery);
  switch (message.kind) {
    case "newer":
      return hold(message.reason, deps);
    case "malformed":
      return parkUnread(delivery, attempt, message.code, message.reason, deps);
    case "foreign":
      await adopt(message.email, delivery, deps.publisher);
      deps.metrics.adopted.inc();
      return "ack";
    case "email":
      return sendOrSplit(message.id, message.email, { attempt, delivery }, deps);
    case "delivery":
      return deliver(message.id, message.email, { attempt, delivery }, deps);
  }
}

type Came = Pick<Going, "attempt" | "delivery">;

async function sendOrSplit(id: string, email: Email, came: Came, deps: Deps): Promise<Settlement> {
  if (recipientsOf(email).length === 1) return deliver(onlyDelivery(id), email, came, deps);
  await split(id, email, came.delivery, came.attempt.possibleDuplicate, deps.publisher);
  deps.metrics.split.inc();
  return "ack";
}

async function deliver(id: DeliveryId, email: Email, came: Came, deps: Deps): Promise<Settlement> {
  const recipient = recipientsOf(email)[id.recipient];
  if (recipient === undefined) {
    return parkUnread(
      came.delivery,
      came.attempt,
      "MESSAGE_SCHEMA",
      "The delivery id names a recipient that is not there",
      deps,
    );
  }
  const going = { id, email, recipient, ...came };
  const result = await deps.send(
    toMail(id.email, email, recipient, deps.sender),
    came.delivery.signal,
  );
  return conclude(going, result, deps);
}

/** The order that the promise rests on: the outcome is recorded and confirmed, then the delivery is settled. */
async function conclude(going: Going, { verdict, reply }: Result, deps: Deps): Promise<Settlement> {
  const { maxAttempts, onAmbiguous } = deps.ladder;
  switch (verdict) {
    case "sent":
      await deps.record(outcomeOf(going, "email.sent", reply, deps));
      deps.metrics.acceptToSentSeconds.observe(
        (Date.now() - timeOfEmailId(going.id.email)) / 1_000,
      );
      return "ack";
    case "failed":
      await deps.record(outcomeOf(going, "email.failed", reply, deps, "REFUSED"));
      return "ack";
    case "sender-refused":
      return parkDelivery(going, "SENDER_REFUSED", reply, deps);
    case "ambiguous":
      if (onAmbiguous === "park") return parkDelivery(going, "AMBIGUOUS", reply, deps);
      return retry(
        { ...going, attempt: { ...going.attempt, possibleDuplicate: true } },
        reply,
        deps,
      );
    case "deferred":
      return going.attempt.number >= maxAttempts
        ? parkDelivery(going, "ATTEMPTS_EXHAUSTED", reply, deps)
        : retry(going, reply, deps);
  }
}

/** Down the ladder: the rejection is one atomic step inside the broker. */
async function retry(going: Going, reply: string, deps: Deps): Promise<Settlement> {
  await deps.record(outcomeOf(going, "email.deferred", reply, deps));
  return "reject";
}

async function parkDelivery(
  going: Going,
  reason: Reason,
  reply: string,
  deps: Deps,
): Promise<Settlement> {
  await park(formatDeliveryId(going.id), reason, reply, going.delivery, deps.publisher);
  await deps.record(outcomeOf(going, "email.parked", reply, deps, reason));
  return "ack";
}

async function parkUnread(
  delivery: Delivery,
  attempt: Attempt,
  reason: Reason,
  detail: string,
  deps: Deps,
): Promise<Settlement> {
  const id = idOf(delivery);
  deps.log.warn("parked", { delivery: id, reason });
  await park(id, reason, detail, delivery, deps.publisher);
  await deps.record({
    kind: "email.parked",
    delivery: id,
    time: new Date().toISOString(),
    attempt: attempt.number,
    reply: detail,
    reason,
    possibleDuplicate: attempt.possibleDuplicate,
  });
  return "ack";
}

/** The delivery id of a message that may not be readable; one without an id of ours gets one. */
function idOf({ properties }: Delivery): string {
  const messageId: unknown = properties.messageId;
  const known =
    parseDeliveryId(messageId) ?? onlyDelivery(isEmailId(messageId) ? messageId : newEmailId());
  return formatDeliveryId(known);
}

/** It waits on the ladder, at whatever length, for an emailer that can read it. */
function hold(reason: string, { metrics, log }: Deps): Settlement {
  metrics.held.inc();
  log.warn("held on the ladder: a newer emailer must read it", { reason });
  return "reject";
}

function outcomeOf(
  { id, email, recipient, attempt }: Going,
  kind: Outcome["kind"],
  reply: string,
  deps: Deps,
  reason?: Reason,
): Outcome {
  return {
    kind,
    delivery: formatDeliveryId(id),
    time: new Date().toISOString(),
    recipient,
    from: deps.sender.envelopeFrom,
    subject: email.subject,
    bytes: Buffer.byteLength(email.body),
    attempt: attempt.number,
    relay: deps.relay,
    reply,
    ...(reason === undefined ? {} : { reason }),
    possibleDuplicate: attempt.possibleDuplicate,
  };
}
