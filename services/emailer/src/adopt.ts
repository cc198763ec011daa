import type { Publisher } from "@posthorn/chassis";
import { ADOPTED_EXCHANGE, type Email } from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import { toMessage } from "./split.ts";

/** Gives an id to what came without one of ours, and hands it to emailer and logger under that id. */
export async function adopt(
  email: Email,
  attempt: Attempt,
  publisher: Pick<Publisher, "publishUntilConfirmed">,
): Promise<void> {
  const way = { exchange: ADOPTED_EXCHANGE, routingKey: "", messageId: attempt.id.email };
  const adopted = { ...toMessage(email, attempt), ...way };
  await publisher.publishUntilConfirmed(adopted, attempt.delivery.signal);
}
