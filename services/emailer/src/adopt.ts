import type { Publisher } from "@posthorn/chassis";
import { ADOPTED_EXCHANGE, newEmailId, timeOfEmailId, type Email } from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import { toMessage } from "./split.ts";

/** Gives an id to what came without one of ours, and hands it to emailer and logger under that id. */
export async function adopt(
  email: Email,
  attempt: Attempt,
  publisher: Pick<Publisher, "publishUntilConfirmed">,
): Promise<void> {
  const messageId = newEmailId();
  const timestamp = timeOfEmailId(messageId);
  const way = { exchange: ADOPTED_EXCHANGE, routingKey: "" };
  const adopted = { ...toMessage(email, attempt), ...way, messageId, timestamp };
  await publisher.publishUntilConfirmed(adopted, attempt.delivery.signal);
}
