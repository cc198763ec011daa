import type { ConfirmChannel } from "amqplib";
import { PublishRefused } from "@wellsent/runtime";

/** A message as it is published; always persistent and mandatory. */
export interface Publication {
  exchange: string;
  routingKey: string;
  body: Buffer;
  messageId: string;
  /** Type with schema version; absent for foreign messages that are handed on as they came. */
  type?: string | undefined;
  contentType?: string;
  /** Of an answer: which query it answers. */
  correlationId?: string;
  /** Milliseconds since the epoch; AMQP keeps whole seconds. */
  timestamp?: number;
  headers?: Readonly<Record<string, unknown>>;
  /** Headers to add when it is published again and nobody knows whether the first one was stored. */
  ifAgain?: Readonly<Record<string, unknown>>;
}

/** Publishes once; resolves to nothing when it is confirmed, to what the client says when not, or to a PublishRefused. */
export function send(channel: ConfirmChannel, publication: Publication): Promise<unknown> {
  const { exchange, routingKey, body, timestamp, headers, type, ...properties } = publication;
  const options = {
    contentType: "application/json",
    ...properties,
    ...(type !== undefined && { type }),
    ...(timestamp !== undefined && { timestamp: Math.floor(timestamp / 1_000) }),
    headers: { ...headers },
    persistent: true,
    mandatory: true,
  };
  return new Promise((resolve) => {
    try {
      channel.publish(exchange, routingKey, body, options, resolve);
    } catch {
      resolve(new PublishRefused("AMQP_DISCONNECTED", "The channel was closed"));
    }
  });
}
