import type { ConfirmChannel } from "amqplib";
import { PublishRefused } from "@wellsent/runtime";

/** A message to publish. It is always persistent and mandatory. */
export interface Publication {
  exchange: string;
  routingKey: string;
  body: Buffer;
  messageId: string;
  /** The type with its schema version. Absent for a foreign message that is moved unchanged. */
  type?: string | undefined;
  contentType?: string;
  /** For an answer: the id of its query. */
  correlationId?: string;
  /** Milliseconds since the epoch; AMQP keeps whole seconds. */
  timestamp?: number;
  headers?: Readonly<Record<string, unknown>>;
  /** Headers to add when the message is published again although the broker may have stored it before. */
  retryHeaders?: Readonly<Record<string, unknown>>;
}

/** Publishes once. Resolves to nothing when the message is confirmed, otherwise to a PublishRefused or an error of amqplib. */
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
