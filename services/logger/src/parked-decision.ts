import { copyOf, type Delivery, type Publication, type Publisher } from "@posthorn/chassis";
import {
  ENTRY_EXCHANGE,
  formatDeliveryId,
  MAYBE_DUPLICATE,
  OUTCOME_TYPE,
  OUTCOMES_EXCHANGE,
  parseDeliveryId,
  REPLAY_KEY,
  type DeliveryId,
  type Outcome,
} from "@posthorn/contract";
import type { Ledger } from "./ledger.ts";

/** A replay of which nothing was heard for so long may never have reached the emailer. */
const UNHEARD_MS = 600_000;

/** What a pass does with the deliveries that it is for. */
export type Action = "replay" | "delete";

/**
 * What became of a parked message: `done` it was replayed or deleted now; `settled` it ended otherwise, or was replayed
 * before, so that only a stale copy is left; `left` it cannot be decided yet.
 */
export type Verdict = "done" | "settled" | "left";

/** A message as it rests in the queue of the parked ones. */
export type Parked = Pick<Delivery, "body" | "properties">;

/** Does with one parked message what a pass is for. */
export type Decide = (action: Action, message: Parked, signal: AbortSignal) => Promise<Verdict>;

/** What deciding needs. */
export interface DecideOptions {
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  ledger: Pick<Ledger, "answer" | "rows">;
}

/** Creates the function that decides over a parked message by what the ledger knows of its delivery. */
export function createDecide({ publisher, ledger }: DecideOptions): Decide {
  return async (action, message, signal) => {
    const id = parseDeliveryId(message.properties.messageId);
    const judgement = id ? judge(id, ledger) : "left";
    if (!id || judgement === "settled" || judgement === "left") return judgement as Verdict;
    const { possibleDuplicate } = ledger.answer(formatDeliveryId(id));
    const publication =
      action === "delete"
        ? deletion(id)
        : replay(id, message, judgement === "again" || possibleDuplicate);
    await publisher.publishUntilConfirmed(publication, signal);
    return "done";
  };
}

function judge(id: DeliveryId, ledger: DecideOptions["ledger"]): Verdict | "again" {
  const delivery = formatDeliveryId(id);
  const { last, whole } = ledger.answer(delivery);
  // n.b. acceptance is recorded long before parking: what is not known at all was forgotten after its retention.
  if (last === "email.parked" || (last === null && whole)) return "done";
  if (last === "email.replayed") return judgeReplayed(id, ledger);
  const open = last === null || last === "email.accepted" || last === "email.deferred";
  // An emailer died between parking its copy and saying so; another one has the delivery now.
  return open ? "left" : "settled";
}

/** A pass died between the replay and its end here; or the broker did, and only the record of the replay was stored. */
function judgeReplayed(id: DeliveryId, ledger: DecideOptions["ledger"]): Verdict | "again" {
  const next = formatDeliveryId({ ...id, generation: id.generation + 1 });
  const { last } = ledger.answer(next);
  if (last !== null && last !== "email.accepted") return "settled";
  const [row] = ledger.rows("SELECT time FROM deliveries WHERE id = ?", next);
  const heard = row ? Date.parse(String(row["time"])) : 0;
  return Date.now() - heard > UNHEARD_MS ? "again" : "left";
}

/** The next generation, as fresh as a new delivery; marked where a relay may have taken an earlier one. */
function replay(id: DeliveryId, message: Parked, doubtful: boolean): Publication {
  const { headers, ...copy } = copyOf(message, REPLAY_KEY);
  const kept = Object.entries(headers).filter(
    ([name]) => !name.startsWith("x-parked-") && name !== MAYBE_DUPLICATE,
  );
  return {
    ...copy,
    exchange: ENTRY_EXCHANGE,
    messageId: formatDeliveryId({ ...id, generation: id.generation + 1 }),
    headers: { ...Object.fromEntries(kept), ...(doubtful && { [MAYBE_DUPLICATE]: true }) },
    ifAgain: { [MAYBE_DUPLICATE]: true },
  };
}

function deletion(id: DeliveryId): Publication {
  const delivery = formatDeliveryId(id);
  const now = new Date().toISOString();
  const outcome: Outcome = { kind: "email.deleted", delivery, time: now, possibleDuplicate: false };
  return {
    exchange: OUTCOMES_EXCHANGE,
    routingKey: outcome.kind,
    messageId: `${delivery}.deleted`,
    type: OUTCOME_TYPE,
    body: Buffer.from(JSON.stringify(outcome)),
  };
}
