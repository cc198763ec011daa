import type { ConfirmChannel, ConsumeMessage, MessageProperties } from "amqplib";

/**
 * How a message is settled. `ack` removes it from the queue, `reject` dead-letters it as the queue declares, and `leave`
 * settles nothing: the broker delivers the message again when the channel closes.
 */
export type Settlement = "ack" | "reject" | "leave";

/** A message as the broker delivered it. */
export interface Delivery {
  queue: string;
  /** The exchange that routed the message to the queue; "" if the message was dead-lettered to the queue directly. */
  exchange: string;
  /** Empty after {@link dropBody}. */
  body: Buffer;
  properties: MessageProperties;
  redelivered: boolean;
  /** The version of the broker, for example `4.3.6`. Versions count different events in the headers. */
  brokerVersion: string;
  /** Aborts when the channel is lost. The broker then delivers the message again, and this delivery is not settled. */
  signal: AbortSignal;
  /** Releases the memory of the body before the message is settled. */
  dropBody: () => void;
}

/**
 * Settles a message on the channel that delivered it. Returns `lost` if that channel has closed. amqplib reads only the
 * delivery tag of a message.
 */
export function settle(
  channel: Pick<ConfirmChannel, "ack" | "reject">,
  deliveryTag: number,
  settlement: Settlement,
): Settlement | "lost" {
  const message = { fields: { deliveryTag } } as ConsumeMessage;
  try {
    if (settlement === "ack") channel.ack(message);
    else if (settlement === "reject") channel.reject(message, false);
    return settlement;
  } catch {
    return "lost";
  }
}
