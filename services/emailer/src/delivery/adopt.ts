import type { Publication } from "@wellsent/amqp";
import { ADOPTED_EXCHANGE, type Email } from "@wellsent/contract";
import type { Attempt } from "./attempt.ts";
import { messageOf } from "./split.ts";

/** Makes the message of a foreign email under the id that it was given, for emailer and logger. */
export function toAdopted(email: Email, attempt: Attempt): Publication {
  const route = { exchange: ADOPTED_EXCHANGE, routingKey: "", messageId: attempt.id.email };
  return { ...messageOf(email, attempt), ...route };
}
