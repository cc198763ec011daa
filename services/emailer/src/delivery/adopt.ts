import type { Publication, Publisher, Settlement } from "@wellsent/amqp";
import {
  ADOPTED_EXCHANGE,
  digestOf,
  formatDeliveryId,
  type Answer,
  type Email,
} from "@wellsent/contract";
import type { Attempt } from "./attempt.ts";
import type { AskOptions } from "./guard.ts";
import { messageOf } from "./split.ts";

/** What adopting a message needs. */
export interface AdoptOptions {
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  /** Asks what is recorded; undefined when nobody answers. */
  ask: (delivery: string, options: AskOptions) => Promise<Answer | undefined>;
}

/**
 * Publishes a foreign message under an id of ours, for emailer and logger. An emailer that crashed after publishing it and
 * before its acknowledgement has the broker deliver the message again: then it keeps the id that the record knows, so that
 * the second copy is recognised.
 */
export async function adopt(
  email: Email,
  attempt: Attempt,
  options: AdoptOptions,
): Promise<Settlement> {
  const earlier = attempt.crashes > 0 ? await adoptionOf(attempt, options) : undefined;
  const id = { ...attempt.id, email: earlier ?? attempt.id.email };
  const publication = toAdopted(email, { ...attempt, id });
  await options.publisher.publishUntilConfirmed(publication, attempt.delivery.signal);
  return "ack";
}

async function adoptionOf({ id, delivery }: Attempt, { ask }: AdoptOptions) {
  const { signal } = delivery;
  const how = { acquire: false, isPatient: true, digest: digestOf(delivery), signal };
  const answer = await ask(formatDeliveryId(id), how);
  return answer?.adoptedAs;
}

function toAdopted(email: Email, attempt: Attempt): Publication {
  const route = { exchange: ADOPTED_EXCHANGE, routingKey: "", messageId: attempt.id.email };
  return { ...messageOf(email, attempt), ...route };
}
