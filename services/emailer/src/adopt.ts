import type { Publisher } from "@posthorn/chassis";
import {
  ADOPTED_EXCHANGE,
  EMAIL_TYPE,
  MAYBE_DUPLICATE,
  newEmailId,
  timeOfEmailId,
  type Email,
} from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import { inherited } from "./split.ts";

/** Gives an id to what came without one of ours, and hands it to emailer and logger under that id. */
export async function adopt(email: Email, attempt: Attempt, publisher: Publisher): Promise<void> {
  const id = newEmailId();
  const publication = {
    exchange: ADOPTED_EXCHANGE,
    routingKey: "",
    messageId: id,
    type: EMAIL_TYPE,
    timestamp: timeOfEmailId(id),
    headers: inherited(attempt),
    ifAgain: { [MAYBE_DUPLICATE]: true },
    body: Buffer.from(JSON.stringify(email)),
  };
  await publisher.publishUntilConfirmed(publication, attempt.delivery.signal);
}
