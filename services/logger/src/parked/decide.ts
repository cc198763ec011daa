import { copyOf, type Delivery, type Publication, type Publisher } from "@wellsent/amqp";
import type { Ledger } from "@wellsent/ledger";
import {
  ENTRY_EXCHANGE,
  MAYBE_DUPLICATE,
  PARKED_WHOLE,
  REPLAY_KEY,
  formatDeliveryId,
  parseDeliveryId,
  readEmail,
  recipientsOf,
  toOutcomeMessage,
  type Answer,
  type DeliveryId,
  type Outcome,
} from "@wellsent/contract";

/** Longer than an emailer holds a delivery: what was accepted after a replay and ended so long ago has overtaken nothing. */
const UNHEARD_MS = 900_000;
type Lasts = readonly Answer["last"][];
/** The last event of a delivery that somebody has in hand. */
const OPEN: Lasts = ["email.accepted", "email.deferred"];

/** What a pass does with the deliveries that it is for. */
export type Action = "replay" | "delete";

/**
 * What became of a parked message: `done` it was replayed or deleted now; `settled` it ended otherwise, or was replayed
 * before, so that only a stale copy is left; `left` it cannot be decided yet.
 */
export type Verdict = "done" | "settled" | "left";

/** A message as it rests in the queue of the parked ones. */
export interface Parked extends Pick<Delivery, "body" | "properties"> {
  /** A pass or its broker died with it in hand, so that its replay may stand in the emailer's queue and not in the record. */
  doubtful: boolean;
}

/** Does with one parked message what a pass is for. */
export type Decide = (action: Action, message: Parked, signal: AbortSignal) => Promise<Verdict>;

/** What deciding needs. */
export interface DecideOptions {
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  ledger: Pick<Ledger, "wholeStatusOf" | "hasEndedOf">;
}

type Known = DecideOptions["ledger"];

/** Creates the function that decides over a parked message by what the ledger knows of its deliveries; it throws LEDGER_BROKEN. */
export function createDecide({ publisher, ledger }: DecideOptions): Decide {
  return async (action, message, signal) => {
    const decide = async (id: DeliveryId, ...resting: Answer["last"][]): Promise<Verdict> => {
      const { possibleDuplicate } = await ledger.wholeStatusOf(formatDeliveryId(id));
      const judgement = await judge(id, resting, ledger);
      if (judgement === "settled" || judgement === "left") return judgement;
      const doubtful = judgement === "again" || message.doubtful || possibleDuplicate;
      const ended = judgement === "again" ? nextOf(id) : id;
      const publication = action === "replay" ? replay(id, message, doubtful) : deletion(ended);
      await publisher.publishUntilConfirmed(publication, signal);
      return "done";
    };
    const [first, ...others] = deliveriesOf(message);
    const verdict = first ? await decide(first, "email.parked") : "left";
    if (verdict === "left") return "left";
    const verdicts: Verdict[] = [verdict];
    for (const id of others) verdicts.push(await decide(id, "email.parked", "email.accepted"));
    return verdicts.includes("left") ? "left" : verdict;
  };
}

/** Whose the message is: one recipient's, or all recipients' of an email that was parked before it was split. */
function deliveriesOf(message: Parked): DeliveryId[] {
  const id = parseDeliveryId(message.properties.messageId);
  if (!id || message.properties.headers?.[PARKED_WHOLE] !== true) return id ? [id] : [];
  const read = readEmail(message);
  if (read.kind !== "delivery") return [id];
  return [...recipientsOf(read.email).keys()].map((recipient) => ({ ...id, recipient }));
}

/** `resting`: the last events of a delivery whose message is this one. */
async function judge(id: DeliveryId, resting: Lasts, ledger: Known): Promise<Verdict | "again"> {
  const next = await ledger.wholeStatusOf(formatDeliveryId(nextOf(id)));
  const { last } = await ledger.wholeStatusOf(formatDeliveryId(id));
  if (next.last !== null) {
    return next.last === "email.accepted" ? judgeUnheard(next.time, ledger) : "settled";
  }
  // Acceptance is recorded long before parking: an unknown delivery was forgotten after its retention.
  if (resting.includes(last) || last === null) return "done";
  // An emailer died between parking its copy and reporting that; another one has the delivery now.
  return OPEN.includes(last) ? "left" : "settled";
}

/**
 * A pass died between a replay and its end here; or the broker did, and only the record of the replay was stored. The emailer's
 * queue keeps its order: when mail that was accepted later ended long ago, the replay is not in the queue.
 */
async function judgeUnheard(replayedAt: string | null, ledger: Known): Promise<"again" | "left"> {
  const long = Date.now() - UNHEARD_MS;
  const hasEnded = await ledger.hasEndedOf(Date.parse(replayedAt ?? ""), long, long);
  return hasEnded ? "again" : "left";
}

/** The next generation, as fresh as a new delivery; marked where a relay may have taken an earlier one. */
function replay(id: DeliveryId, message: Parked, doubtful: boolean): Publication {
  const { headers, ...copy } = copyOf(message, REPLAY_KEY);
  const isOurs = (name: string) => name.startsWith("x-parked-") || name === MAYBE_DUPLICATE;
  const kept = Object.entries(headers).filter(([name]) => !isOurs(name));
  return {
    ...copy,
    exchange: ENTRY_EXCHANGE,
    messageId: formatDeliveryId(nextOf(id)),
    headers: { ...Object.fromEntries(kept), ...(doubtful && { [MAYBE_DUPLICATE]: true }) },
    retryHeaders: { [MAYBE_DUPLICATE]: true },
  };
}

function nextOf(id: DeliveryId): DeliveryId {
  return { ...id, generation: id.generation + 1 };
}

function deletion(id: DeliveryId): Publication {
  const delivery = formatDeliveryId(id);
  const time = new Date().toISOString();
  const outcome: Outcome = { kind: "email.deleted", delivery, time, possibleDuplicate: false };
  return toOutcomeMessage(`${delivery}.deleted`, outcome);
}
