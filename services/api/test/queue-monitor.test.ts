import { EventEmitter } from "node:events";
import type { AmqpConnection } from "@wellsent/amqp";
import { topology } from "@wellsent/contract";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Registry } from "prom-client";
import { QueueMonitor } from "../src/send/queue-monitor.ts";
import { createApiMetrics } from "../src/metrics.ts";

/** A broker whose queues the monitor counts. `check` returns the result of a count. */
function createFakeBroker() {
  const broker = {
    away: false,
    declared: 0,
    channels: 0,
    bound: 0,
    check: (): Promise<{ messageCount: number }> => Promise.resolve({ messageCount: 0 }),
  };
  const createChannel = () =>
    Object.assign(new EventEmitter(), {
      assertExchange: () => Promise.resolve(),
      assertQueue: () => Promise.resolve(broker.declared++),
      bindQueue: () => Promise.resolve(broker.bound++),
      bindExchange: () => Promise.resolve(),
      checkQueue(this: EventEmitter) {
        return broker.check().catch((error: unknown) => {
          this.emit("close");
          throw error;
        });
      },
      close(this: EventEmitter) {
        this.emit("close");
      },
    });
  const connected = async () => {
    await waitFor("the broker", () => !broker.away);
    return {
      createConfirmChannel: () => {
        broker.channels += 1;
        return Promise.resolve(createChannel());
      },
    };
  };
  return { broker, connection: { connected } as unknown as AmqpConnection };
}

let monitor: QueueMonitor | undefined;
afterEach(() => monitor?.stop());

function start(times = { checkMs: 10, staleMs: 100, declareMs: 60_000 }) {
  const { broker, connection } = createFakeBroker();
  const registry = new Registry();
  const metrics = createApiMetrics(registry);
  const fail = (error: Error) => {
    throw error;
  };
  const options = { connection, topology: topology(), fail, log: createFakeLog(), metrics };
  monitor = new QueueMonitor({
    ...options,
    emailerQueueMax: 100,
    queuesMaxBytes: 1_000_000_000,
    times,
  });
  monitor.start();
  return { broker, monitor, registry };
}

describe("QueueMonitor", () => {
  it("refuses and is unready until the queues were verified", async () => {
    const { monitor } = start();

    expect(monitor.refusal()?.code).toBe("TOPOLOGY_UNVERIFIED");
    expect(monitor.check()?.blocks).toBe(true);

    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
    expect(monitor.check()).toBeUndefined();
  });

  it("refuses while the queue has too many messages, and counts them", async () => {
    const { broker, monitor, registry } = start();
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);

    broker.check = () => Promise.resolve({ messageCount: 100 });
    await waitFor("sends are refused", () => monitor.refusal() !== undefined);

    expect(monitor.refusal()?.code).toBe("QUEUE_FULL");
    expect(monitor.check()?.blocks).toBe(false);
    expect(await registry.metrics()).toContain("wellsent_emailer_queue_depth 100");
  });

  it("refuses at once when the queue is missing, declares it again, and stays ready", async () => {
    // No count becomes stale in this test, so only the missing queue can refuse a send.
    const { broker, monitor } = start({ checkMs: 10, staleMs: 60_000, declareMs: 60_000 });
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
    const declared = broker.declared;

    broker.check = () => Promise.reject(new Error("404"));
    await waitFor("sends are refused", () => monitor.refusal() !== undefined);
    broker.check = () => Promise.resolve({ messageCount: 0 });

    expect(monitor.refusal()?.code).toBe("TOPOLOGY_UNVERIFIED");
    expect(monitor.check()?.blocks).toBe(false);
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
    expect(broker.declared).toBeGreaterThan(declared);
  });

  it("refuses when a check has no answer for too long", async () => {
    const { broker, monitor } = start();
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
    let answer: (count: { messageCount: number }) => void = () => undefined;

    broker.check = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await waitFor("sends are refused", () => monitor.refusal() !== undefined);

    expect(monitor.refusal()?.code).toBe("TOPOLOGY_UNVERIFIED");
    answer({ messageCount: 0 });
    broker.check = () => Promise.resolve({ messageCount: 0 });
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
  });

  it("refuses while the queues have too many bytes, by the average size of accepted emails", async () => {
    const { broker, monitor } = start();
    broker.check = () => Promise.resolve({ messageCount: 99 });
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);

    for (let email = 0; email < 2_000; email += 1) monitor.noteStored(20_000_000);
    await waitFor("sends are refused", () => monitor.refusal() !== undefined);

    expect(monitor.refusal()?.code).toBe("QUEUE_BYTES_FULL");
    expect(monitor.check()?.blocks).toBe(false);
  });

  it("does not refuse after one large email", async () => {
    const { broker, monitor } = start();
    broker.check = () => Promise.resolve({ messageCount: 99 });
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
    const { bound } = broker;

    monitor.noteStored(20_000_000);
    await waitFor("two more looks", () => broker.bound >= bound + 4);

    expect(monitor.refusal()).toBeUndefined();
  });

  it("declares the bindings of both queues with every check", async () => {
    const { broker, monitor } = start();
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);
    const { bound } = broker;

    await waitFor("three more looks", () => broker.bound >= bound + 6);

    expect(broker.bound).toBeGreaterThanOrEqual(bound + 6);
  });

  it("declares the topology repeatedly on the same channel without a refusal", async () => {
    const { broker, monitor } = start({ checkMs: 10, staleMs: 60_000, declareMs: 20 });
    const queues = topology().queues.length;
    await waitFor("sends are accepted", () => monitor.refusal() === undefined);

    await waitFor("three declarations", () => broker.declared >= 3 * queues);

    expect(broker.channels).toBe(1);
    expect(monitor.refusal()).toBeUndefined();
  });
});
