import type { Channel, Options } from "amqplib";

type Exchange = { name: string; type: string } & Options.AssertExchange;

/** The exchanges, queues and bindings that a channel declares before it is used. */
export interface Topology {
  readonly exchanges: readonly Exchange[];
  /** Every queue is durable. Its type is one of the arguments. */
  readonly queues: readonly { name: string; arguments: Record<string, string | number> }[];
  /** `to`: whether the destination is a `queue` or an `exchange`. */
  readonly bindings: readonly Record<"source" | "destination" | "to" | "key", string>[];
}

/**
 * Declares exchanges, queues and bindings. Existing ones stay as they are.
 * @throws {Error} with code 406 if an exchange or queue exists with other arguments
 */
export async function declare(channel: Channel, topology: Partial<Topology>): Promise<void> {
  const { exchanges = [], queues = [], bindings = [] } = topology;
  for (const { name, type, ...options } of exchanges) {
    await channel.assertExchange(name, type, options);
  }
  for (const queue of queues) {
    await channel.assertQueue(queue.name, { durable: true, arguments: queue.arguments });
  }
  for (const { source, destination, to, key } of bindings) {
    if (to === "queue") await channel.bindQueue(destination, source, key);
    else await channel.bindExchange(destination, source, key);
  }
}
