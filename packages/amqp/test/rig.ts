import { Registry } from "prom-client";
import { createAmqpMetrics } from "../src/metrics.ts";
import { AmqpConnection } from "../src/connection.ts";
import { Consumer } from "../src/consumer.ts";
import type { ConsumerOptions } from "../src/consumer-options.ts";
import { Publisher, type PublisherOptions } from "../src/publisher.ts";
import type { Topology } from "../src/declare.ts";
import { FlowControl } from "../src/flow-control.ts";
import type { Component } from "@wellsent/runtime";
import { createFakeLog } from "@wellsent/testing";

export const NOTHING: Topology = { exchanges: [], queues: [], bindings: [] };
const QUORUM = { "x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000 };

/** Returns quorum queues with these names. Messages rejected in a queue go to `<name>.rejected`. */
export function queues(...names: string[]): Topology {
  const dead = (name: string) => ({
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": `${name}.rejected`,
  });
  return {
    ...NOTHING,
    queues: names.flatMap((name) => [
      { name, arguments: { ...QUORUM, ...dead(name) } },
      { name: `${name}.rejected`, arguments: QUORUM },
    ]),
  };
}

/** Starts the components of a test, with their own log and metrics. `stop` stops all of them. */
export class Rig {
  readonly log = createFakeLog();
  readonly registry = new Registry();
  readonly metrics = createAmqpMetrics(this.registry);
  readonly failures: Error[] = [];
  readonly fail = (error: Error): void => {
    this.failures.push(error);
  };
  readonly #components: Component[] = [];

  /** Starts a connection. */
  async connect(url: string | (() => string)): Promise<AmqpConnection> {
    const connection = new AmqpConnection({
      url: typeof url === "string" ? () => url : url,
      service: "test",
      purpose: "test",
      metrics: this.metrics,
      log: this.log,
    });
    this.adopt(connection);
    await connection.start();
    return connection;
  }

  /** Starts a publisher with its own connection. */
  async publish(url: string, options: Partial<PublisherOptions> = {}): Promise<Publisher> {
    const connection = await this.connect(url);
    const publisher = new Publisher({
      connection,
      topology: NOTHING,
      windowSize: 1_000,
      timeoutMs: 10_000,
      ...this.common,
      ...options,
    });
    this.adopt(publisher);
    publisher.start();
    return publisher;
  }

  /** Starts a consumer with its own connection. */
  async consume(
    url: string,
    options: Pick<ConsumerOptions, "queues" | "handle"> & Partial<ConsumerOptions>,
  ): Promise<Consumer> {
    const connection = await this.connect(url);
    const consumer = new Consumer({
      connection,
      topology: queues(...options.queues),
      budget: 10,
      budgetBytes: 2 ** 25,
      flow: new FlowControl(),
      ...this.common,
      ...options,
    });
    this.adopt(consumer);
    consumer.start();
    return consumer;
  }

  get common() {
    return { metrics: this.metrics, log: this.log, fail: this.fail };
  }

  /** Adds a component for `stop`. */
  adopt(component: Component): void {
    this.#components.push(component);
  }

  /** Returns the value of a metric with these labels. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
    const metric = await this.registry.getSingleMetric(name)?.get();
    return metric?.values.find((one) =>
      Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    )?.value;
  }

  async stop(): Promise<void> {
    for (const component of this.#components.splice(0).reverse()) {
      await component.stop(AbortSignal.timeout(1_000));
    }
  }
}
