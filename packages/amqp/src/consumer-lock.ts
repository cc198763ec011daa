import type { ConfirmChannel } from "amqplib";
import { codeOf, type Log } from "@wellsent/runtime";

/** AMQP 0-9-1 reply code 405: the queue is exclusive to another connection. */
const RESOURCE_LOCKED = "405";

/** Options of {@link ConsumerLock}. */
export interface ConsumerLockOptions {
  /** The name of the exclusive queue. Nothing is published to it. */
  queue: string;
  /** The reason in readiness while another connection holds the lock. */
  heldReason: string;
}

/**
 * Makes a consumer the only one of its kind as long as its connection is open. The lock is an exclusive queue of the
 * connection. The alternatives do not work with quorum queues: they ignore the `exclusive` flag of `basic.consume`, and a
 * consumer of a single-active-consumer queue is not informed whether it is the active one.
 */
export class ConsumerLock {
  readonly #options: ConsumerLockOptions;
  readonly #log: Log;
  #isRefused = false;

  constructor(options: ConsumerLockOptions, log: Log) {
    this.#options = options;
    this.#log = log;
  }

  /** The reason to be unready while another connection holds the lock, otherwise `undefined`. */
  get heldReason(): string | undefined {
    return this.#isRefused ? this.#options.heldReason : undefined;
  }

  /** Acquires the lock, or keeps it. @throws {Error} 405 while another connection holds it */
  async acquire(channel: Pick<ConfirmChannel, "assertQueue">): Promise<void> {
    const { queue } = this.#options;
    const classic = { "x-queue-type": "classic" };
    await channel.assertQueue(queue, { exclusive: true, durable: false, arguments: classic });
    if (this.#isRefused) this.#log.info("lock acquired, consuming", { lock: queue });
    this.#isRefused = false;
  }

  /** Whether an error is that another connection holds the lock. The first one in a row is logged. */
  noteRefusal(error: unknown): boolean {
    if (codeOf(error) !== RESOURCE_LOCKED) return false;
    const { queue, heldReason } = this.#options;
    if (!this.#isRefused) this.#log.warn(`lock not acquired: ${heldReason}`, { lock: queue });
    this.#isRefused = true;
    return true;
  }
}
