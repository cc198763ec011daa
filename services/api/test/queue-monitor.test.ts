import { EventEmitter } from "node:events";
import type { AmqpConnection } from "@wellsent/amqp";
import { topology } from "@wellsent/contract";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Registry } from "prom-client";
import { Backlog } from "../src/send/queue-monitor.ts";
import { createApiMetrics } from "../src/metrics.ts";

/** A broker with one queue that is looked at; `check` says what comes of a look. */
function createFakeBroker() {
  const broker = {
    away: false,
    declared: 0,
    channels: 0,
    check: (): Promise<{ messageCount: number }> => Promise.resolve({ messageCount: 0 }),
  };
  const createChannel = () =>
    Object.assign(new EventEmitter(), {
      assertExchange: () => Promise.resolve(),
      assertQueue: () => Promise.resolve(broker.declared++),
      bindQueue: () => Promise.resolve(),
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

let backlog: Backlog | undefined;
afterEach(() => backlog?.stop());

function start(times = { lookMs: 10, staleMs: 100, declareMs: 60_000 }) {
  const { broker, connection } = createFakeBroker();
  const registry = new Registry();
  const metrics = createApiMetrics(registry);
  const fail = (error: Error) => {
    throw error;
  };
  const options = { connection, topology: topology(), fail, log: createFakeLog(), metrics };
  backlog = new Backlog({ ...options, emailerQueueMax: 100, times });
  backlog.start();
  return { broker, backlog, registry };
}

describe("Backlog", () => {
  it("refuses and is unready until the queues were verified", async () => {
    const { backlog } = start();

    expect(backlog.refusal()?.code).toBe("TOPOLOGY_UNVERIFIED");
    expect(backlog.check()?.blocks).toBe(true);

    await waitFor("sends are accepted", () => backlog.refusal() === undefined);
    expect(backlog.check()).toBeUndefined();
  });

  it("refuses while the queue holds too many, and says how many", async () => {
    const { broker, backlog, registry } = start();
    await waitFor("sends are accepted", () => backlog.refusal() === undefined);

    broker.check = () => Promise.resolve({ messageCount: 100 });
    await waitFor("sends are refused", () => backlog.refusal() !== undefined);

    expect(backlog.refusal()?.code).toBe("QUEUE_FULL");
    expect(backlog.check()?.blocks).toBe(false);
    expect(await registry.metrics()).toContain("wellsent_emailer_queue_depth 100");
  });

  it("refuses at once when the queue is missing, declares it again, and stays ready", async () => {
    // No look becomes stale in this test, so only the missing queue can refuse a send.
    const { broker, backlog } = start({ lookMs: 10, staleMs: 60_000, declareMs: 60_000 });
    await waitFor("sends are accepted", () => backlog.refusal() === undefined);
    const declared = broker.declared;

    broker.check = () => Promise.reject(new Error("404"));
    await waitFor("sends are refused", () => backlog.refusal() !== undefined);
    broker.check = () => Promise.resolve({ messageCount: 0 });

    expect(backlog.refusal()?.code).toBe("TOPOLOGY_UNVERIFIED");
    expect(backlog.check()?.blocks).toBe(false);
    await waitFor("sends are accepted", () => backlog.refusal() === undefined);
    expect(broker.declared).toBeGreaterThan(declared);
  });

  it("refuses when a look has no answer for too long", async () => {
    const { broker, backlog } = start();
    await waitFor("sends are accepted", () => backlog.refusal() === undefined);
    let answer: (count: { messageCount: number }) => void = () => undefined;

    broker.check = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await waitFor("sends are refused", () => backlog.refusal() !== undefined);

    expect(backlog.refusal()?.code).toBe("TOPOLOGY_UNVERIFIED");
    answer({ messageCount: 0 });
    broker.check = () => Promise.resolve({ messageCount: 0 });
    await waitFor("sends are accepted", () => backlog.refusal() === undefined);
  });

  it("declares the topology again and again on the same channel, and keeps accepting", async () => {
    const { broker, backlog } = start({ lookMs: 10, staleMs: 60_000, declareMs: 20 });
    const queues = topology().queues.length;
    await waitFor("sends are accepted", () => backlog.refusal() === undefined);

    await waitFor("three declarations", () => broker.declared >= 3 * queues);

    expect(broker.channels).toBe(1);
    expect(backlog.refusal()).toBeUndefined();
  });
});
