import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createVhost, deleteVhost, probe, waitFor } from "@wellsent/testing";
import type { Topology } from "../src/declare.ts";
import { queues, Rig } from "./rig.ts";
import { startProxy, type Act, type Proxy } from "./proxy.ts";

const EXCHANGE = "everything";

let url: string;
let count = 0;

beforeAll(async () => {
  url = await createVhost();
});
afterAll(() => deleteVhost(url));

/** A consumer and a publisher through a proxy, with an exchange, a queue and a binding. */
async function start() {
  const queue = `queue-${++count}`;
  const topology: Topology = {
    ...queues(queue),
    exchanges: [{ name: EXCHANGE, type: "direct", durable: true }],
    bindings: [{ source: EXCHANGE, destination: queue, to: "queue", key: queue }],
  };
  const proxy = await startProxy(url);
  const rig = new Rig();
  const bodies: string[] = [];
  const begin = async () => {
    const publisher = await rig.publish(proxy.url, { topology, timeoutMs: 1_000 });
    await rig.consume(proxy.url, {
      topology,
      queues: [queue],
      handle: ({ body }) => {
        bodies.push(body.toString());
        return Promise.resolve("ack");
      },
    });
    return (body: string) =>
      publisher.publishUntilConfirmed({
        exchange: EXCHANGE,
        routingKey: queue,
        messageId: body,
        body: Buffer.from(body),
      });
  };
  const stop = async () => {
    await rig.stop();
    await proxy.close();
  };
  return { proxy, rig, bodies, queue, begin, stop };
}

/** Handles the first method of this name on each of the two connections in this way. */
function meddleWith(proxy: Proxy, name: string, act: Act, times = 2): () => number {
  let met = 0;
  proxy.meddle((method) => (method === name && met++ < times ? act : "pass"));
  return () => met;
}

const METHODS = [
  "connection.open-ok",
  "channel.open-ok",
  "confirm.select-ok",
  "exchange.declare-ok",
  "queue.declare-ok",
  "queue.bind-ok",
  "basic.qos-ok",
  "basic.consume-ok",
];

describe("publisher and consumer", () => {
  it.each(METHODS.flatMap((method) => [["reset", method] as const, ["half", method] as const]))(
    "recover from a connection that ends (%s) at %s",
    async (act, method) => {
      const { proxy, bodies, begin, stop } = await start();
      const met = meddleWith(proxy, method, act);
      const publish = await begin();

      await publish("message");
      await waitFor("the message", () => bodies.includes("message"));

      expect(met()).toBeGreaterThanOrEqual(2);
      await stop();
    },
  );

  it("lose no confirmed message while connections break under load", async () => {
    const { proxy, rig, bodies, begin, stop } = await start();
    const publish = await begin();
    const published: string[] = [];
    const breaks = async () => ((await rig.metric("wellsent_amqp_connects_total")) ?? 0) - 2;

    while ((await breaks()) < 10) {
      const batch = Array.from({ length: 50 }, (_, index) => String(published.length + index));
      const publishing = Promise.all(batch.map(publish));
      proxy.cut();
      await publishing;
      published.push(...batch);
    }

    await waitFor("every message", () => published.every((body) => bodies.includes(body)));
    expect(new Set(bodies).size).toBe(published.length);
    await stop();
  });

  it("lose no message when an empty queue is deleted", async () => {
    const { queue, bodies, begin, stop } = await start();
    const publish = await begin();
    await publish("before");
    await waitFor("the first message", () => bodies.includes("before"));
    const program = await probe(url);

    await program.channel.deleteQueue(queue);
    await publish("after");

    await waitFor("the second message", () => bodies.includes("after"));
    expect(bodies).toStrictEqual(["before", "after"]);
    await program.close();
    await stop();
  });

  it("reconnect when heartbeats stop, and no publish hangs until then", async () => {
    const { proxy, rig, bodies, begin, stop } = await start();
    // The broker asks for a heartbeat every second, in the last field of its Connection.Tune.
    proxy.meddle((method, frame) => {
      if (method === "connection.tune") frame.writeUInt16BE(1, frame.length - 3);
      return "pass";
    });
    const publish = await begin();
    await publish("before");
    await waitFor("the first message", () => bodies.includes("before"));

    proxy.stall(true);
    const after = publish("after");
    await waitFor("a timeout", () =>
      rig.metric("wellsent_amqp_publishes_total", { result: "AMQP_CONFIRM_TIMEOUT" }),
    );
    await waitFor("the loss", async () => (await rig.metric("wellsent_amqp_connection_up")) === 0);
    proxy.stall(false);
    await after;

    await waitFor("the second message", () => bodies.includes("after"));
    expect(bodies[0]).toBe("before");
    await stop();
  });

  it("build another channel after fifteen seconds without an answer", async () => {
    const { proxy, bodies, begin, stop } = await start();
    const dropped = meddleWith(proxy, "queue.declare-ok", "drop");
    const publish = await begin();

    await publish("message");

    await waitFor("the message", () => bodies.includes("message"));
    expect(dropped()).toBeGreaterThan(2);
    await stop();
  });
});
