import { randomUUID } from "node:crypto";
import { shortString, type Delivery, type Publication } from "@posthorn/chassis";
import { LOGGER_PARKED_QUEUE } from "@posthorn/contract";

/** A malformed message as it goes to the logger's parked queue: as it came, with the reason. */
export function parked({ body, properties }: Delivery, reason: string): Publication {
  return {
    exchange: "",
    routingKey: LOGGER_PARKED_QUEUE,
    messageId: shortString(properties.messageId) ?? randomUUID(),
    type: shortString(properties.type),
    headers: { "x-parked-reason": reason },
    body,
  };
}
