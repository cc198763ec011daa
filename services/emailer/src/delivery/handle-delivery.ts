import { copyOf, isForged, type Delivery, type Settlement } from "@wellsent/amqp";
import {
  EMAILER_QUEUE,
  formatDeliveryId,
  isOurs,
  readEmail,
  recipientsOf,
  RETRY_EXCHANGE,
  type Email,
} from "@wellsent/contract";
import { remember, SingleFlight } from "@wellsent/runtime";
import { adopt } from "./adopt.ts";
import { toAttempt, type Attempt } from "./attempt.ts";
import { deliver, parkUnread } from "./deliver.ts";
import type { HandlerContext, HandlerOptions } from "./handler-context.ts";
import { createRecorder } from "./outcome.ts";
import { hearOthers } from "./permission.ts";
import { createQuarantine } from "./quarantine.ts";
import { toDeliveries } from "./split.ts";

/** A message that this many emailers crashed with is parked before anything else is done with it. */
const CRASHES_MAX = 20;
/** From this many crashes on a message is in quarantine: it is handled alone. */
const CRASHES_SUSPECT = 3;
/** Messages whose settlement is remembered: several times those that can be in flight. */
const REMEMBERED = 10_000;

/** Creates the function that handles each message from the broker, and decides its settlement. */
export function createHandler(options: HandlerOptions) {
  const { metrics, guard } = options;
  // A message that the broker delivers again, or twice, is settled as before, without a second mail.
  const recent = new SingleFlight<Settlement>(REMEMBERED, () => metrics.suppressed.inc());
  const quarantine = createQuarantine();
  const context: HandlerContext = {
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

async function handle(attempt: Attempt, context: HandlerContext): Promise<Settlement> {
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

function parkCrashed(attempt: Attempt, context: HandlerContext): Promise<Settlement> {
  const reply = `${attempt.crashes} emailers crashed or lost their connection with it`;
  return parkUnread(attempt, "CRASHED", reply, context);
}

/** Leaves the message on the ladder, for as long as it takes until a newer emailer reads it. */
function hold(reason: string, { metrics, log }: HandlerContext): Settlement {
  metrics.held.inc();
  log.warn("held on the ladder: a newer emailer must read it", { reason });
  return "reject";
}

/** Publishes the deliveries one at a time, because fifty copies of a large body would take too much memory. */
async function split(
  email: Email,
  attempt: Attempt,
  { publisher }: HandlerContext,
): Promise<Settlement> {
  for (const one of toDeliveries(email, attempt)) {
    await publisher.publishUntilConfirmed(one, attempt.delivery.signal);
  }
  return "ack";
}
