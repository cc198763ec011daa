import type { ConfirmChannel } from "amqplib";
import type { ConsumerLockOptions } from "./consumer-lock.ts";
import type { Delivery, Settlement } from "./delivery.ts";
import type { FlowControl } from "./flow-control.ts";
import type { AmqpMetrics } from "./metrics.ts";
import type { SessionOptions } from "./session.ts";

/** The options of a consumer. */
export interface ConsumerOptions extends SessionOptions {
  /** The topology, or `prepare`, must declare them. */
  queues: readonly string[];
  /**
   * Runs on each new channel after the topology is declared and before consuming begins. Resolves to further queues to
   * consume.
   */
  prepare?: (channel: ConfirmChannel) => Promise<readonly string[]>;
  /** Most messages in flight of all queues together. Each queue gets an equal share, at least one. */
  budget: number;
  /** When this many bytes of bodies are in flight, no more messages are consumed. It also limits the share of each queue. */
  budgetBytes: number;
  /** Handles one message. If it throws, the error is logged and the message is rejected. */
  handle: (delivery: Delivery) => Promise<Settlement>;
  /** Decides when the consumer consumes. */
  flow: FlowControl;
  /** Without a lock, any number of consumers share the queues. */
  lock?: ConsumerLockOptions;
  metrics: AmqpMetrics;
}
