import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { createVhost, ctl, deleteVhost, type Probe, probe, waitFor } from "@wellsent/testing";
import type { Delivery, Settlement } from "../src/delivery.ts";
import { FlowControl } from "../src/flow-control.ts";
import { queues, Rig } from "./rig.ts";
import { startProxy, type Proxy } from "./proxy.ts";

let url: string;
let broker: Probe;
let proxy: Proxy;
let rig: Rig;
let flow: FlowControl;
/** Each test has its own queues, so that its unsettled messages do not affect the next test. */
let one: string;
let two: string;
let count = 0;

beforeAll(async () => {
  url = await createVhost();
});
afterAll(() => deleteVhost(url));
beforeEach(async () => {
  rig = new Rig();
  flow = new FlowControl();
  proxy = await startProxy(url);
  broker = await probe(url);
  [one, two] = [`one-${++count}`, `two-${count}`];
});
afterEach(async () => {
  await rig.stop();
  await proxy.close();
  await broker.close();
});

/** Publishes messages to a queue, and declares the queue first. Each body is the number of the message. */
async function fill(queue: string, messages: number, from = 0): Promise<void> {
  for (const declared of queues(queue).queues) {
    await broker.channel.assertQueue(declared.name, { arguments: declared.arguments });
  }
  for (let number = from; number < from + messages; number++) {
    broker.channel.sendToQueue(queue, Buffer.from(String(number)), { persistent: true });
  }
  await broker.channel.waitForConfirms();
}

interface Held {
  delivery: Delivery;
  number: number;
  settle: (settlement: Settlement) => void;
}

/** A handler whose deliveries wait until the test settles them. */
function holdAll() {
  const held: Held[] = [];
  const handle = (delivery: Delivery) =>
    new Promise<Settlement>((settle) =>
      held.push({ delivery, number: numberOf(delivery), settle }),
    );
  return { held, handle };
}

/** Whether a method has passed the proxy since. The broker counts a cancelled consumer until its messages are settled. */
function watchFor(name: string): () => boolean {
  let seen = false;
  proxy.meddle((method) => {
    seen ||= method === name;
    return "pass";
  });
  return () => seen;
}

const numberOf = ({ body }: Delivery) => Number(body.toString());
const isUp = (consumer: { check: () => unknown }) =>
  waitFor("the consumer", () => consumer.check() === undefined);
const depthIs = (queue: string, depth: number) =>
  waitFor(`${depth} in ${queue}`, async () => (await broker.depth(queue)) === depth);

describe("Consumer", () => {
  it("passes a message with its queue, exchange and properties to the handler", async () => {
    const { held, handle } = holdAll();
    await isUp(await rig.consume(url, { queues: [one], handle }));

    broker.channel.sendToQueue(one, Buffer.from("{}"), { messageId: "id", type: "email.v1" });

    await waitFor("the delivery", () => held.length);
    expect(held[0]?.delivery).toMatchObject({
      queue: one,
      exchange: "",
      body: Buffer.from("{}"),
      properties: { messageId: "id", type: "email.v1" },
      redelivered: false,
      brokerVersion: expect.stringMatching(/^\d+\.\d+/),
      signal: expect.objectContaining({ aborted: false }),
    });
    held[0]?.settle("ack");
  });

  it.each([
    ["ack", 0],
    ["reject", 1],
  ] as const)(
    "settles with the returned settlement: %s moves %i to the dead-letter queue",
    async (settlement, dead) => {
      await fill(one, 1);
      const consumer = await rig.consume(url, {
        queues: [one],
        handle: () => Promise.resolve(settlement),
      });
      await waitFor("settling", () =>
        rig.metric("wellsent_amqp_deliveries_total", { queue: one, settled: settlement }),
      );

      await consumer.stop(AbortSignal.timeout(5_000));

      await depthIs(`${one}.rejected`, dead);
      expect(await broker.depth(one)).toBe(0);
    },
  );

  it("settles nothing after leave, and the broker has the message again after the stop", async () => {
    await fill(one, 1);
    const consumer = await rig.consume(url, {
      queues: [one],
      handle: () => Promise.resolve("leave"),
    });
    await waitFor("handling", () =>
      rig.metric("wellsent_amqp_deliveries_total", { settled: "leave" }),
    );
    expect(await broker.depth(one)).toBe(0);

    await consumer.stop(AbortSignal.timeout(5_000));

    await depthIs(one, 1);
  });

  it.each([
    ["rejects", () => Promise.reject(new Error("secret"))],
    [
      "throws",
      () => {
        throw new Error("secret");
      },
    ],
  ])("dead-letters a message whose handler %s, and logs no secret", async (_, handle) => {
    await fill(one, 1);

    await rig.consume(url, { queues: [one], handle });

    await depthIs(`${one}.rejected`, 1);
    expect(rig.log.lines).toContainEqual(
      expect.objectContaining({ level: "error", message: "delivery not handled", queue: one }),
    );
    expect(JSON.stringify(rig.log.lines)).not.toContain("secret");
    expect(await rig.metric("wellsent_amqp_deliveries_in_flight")).toBe(0);
  });

  it("never has more messages in flight than its budget, with a share of each queue", async () => {
    const names = [one, two, `three-${count}`];
    for (const name of names) await fill(name, 8);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: names, handle, budget: 7 });

    await waitFor("two of each", () => held.length === 6);
    for (let settled = 0; settled < 18; settled++) {
      held[settled]?.settle("ack");
      const expected = Math.min(24, settled + 7);
      await waitFor("the next", () => held.length >= expected);
      expect(held.length).toBeLessThanOrEqual(settled + 1 + 7);
      expect(await rig.metric("wellsent_amqp_deliveries_in_flight")).toBeLessThanOrEqual(7);
    }

    for (const { settle } of held) settle("ack");
    await waitFor(
      "all",
      async () => (await rig.metric("wellsent_amqp_deliveries_in_flight")) === 0,
    );
    expect(held).toHaveLength(24);
  });

  it("has one message of each queue in flight when its budget is smaller than their number", async () => {
    await fill(one, 5);
    await fill(two, 5);
    const { held, handle } = holdAll();

    await rig.consume(url, { queues: [one, two], handle, budget: 1 });

    await waitFor("one of each", () => held.length === 2);
    await depthIs(one, 4);
    await depthIs(two, 4);
    expect(held).toHaveLength(2);
    for (const { settle } of held) settle("leave");
  });

  it("makes the service unready until it consumes", async () => {
    proxy.refuse(true);
    const consumer = await rig.consume(proxy.url, { queues: [one], handle: holdAll().handle });
    expect(consumer.check()).toStrictEqual({ reason: "not consuming", blocks: true });

    proxy.refuse(false);

    await isUp(consumer);
  });
});

describe("Consumer under flow control", () => {
  it("consumes no more, settles the messages in flight, and consumes again", async () => {
    await fill(one, 3);
    const cancelled = watchFor("basic.cancel-ok");
    const { held, handle } = holdAll();
    const consumer = await rig.consume(proxy.url, { queues: [one], handle, flow, budget: 1 });
    await waitFor("the first", () => held.length === 1);

    flow.pause("test");
    await waitFor("the cancel", cancelled);
    held[0]?.settle("ack");
    await waitFor("settling", () =>
      rig.metric("wellsent_amqp_deliveries_total", { settled: "ack" }),
    );

    expect(held).toHaveLength(1);
    expect(await broker.depth(one)).toBe(2);
    expect(consumer.check()).toBeUndefined();
    flow.resume("test");
    await waitFor("the second", () => held.length === 2);
    held[1]?.settle("ack");
    await waitFor("the third", () => held.length === 3);
    held[2]?.settle("ack");
  });

  it("consumes each queue once after many fast pauses and resumes", async () => {
    const consumer = await rig.consume(url, { queues: [one], handle: holdAll().handle, flow });
    await isUp(consumer);

    for (let times = 0; times < 20; times++) {
      flow.pause("test");
      flow.resume("test");
    }

    const consumers = async () => (await broker.channel.checkQueue(one)).consumerCount;
    await waitFor("one consumer", async () => (await consumers()) === 1);
    flow.pause("test");
    await waitFor("none", async () => (await consumers()) === 0);
    expect(consumer.check()).toBeUndefined();
  });

  it("consumes its whole budget again after a pause, although earlier messages are in flight", async () => {
    await fill(one, 5);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one], handle, flow, budget: 2 });
    await waitFor("a full budget", () => held.length === 2);

    flow.pause("test");
    flow.resume("test");

    await waitFor("another", () => held.length === 4);
    for (const { settle } of held) settle("ack");
    await waitFor("the rest", () => held.length === 5);
    expect(held.map(({ number }) => number)).toEqual([0, 1, 2, 3, 4]);
    held[4]?.settle("ack");
  });

  it("stays paused when the connection is lost and restored", async () => {
    const { held, handle } = holdAll();
    const consumer = await rig.consume(proxy.url, { queues: [one], handle, flow });
    await isUp(consumer);
    flow.pause("test");
    await fill(one, 1);

    proxy.cut();
    await waitFor(
      "another connection",
      async () => ((await rig.metric("wellsent_amqp_connects_total")) ?? 0) > 1,
    );
    await waitFor(
      "another channel",
      () => rig.log.lines.filter(({ message }) => message === "channel built").length === 2,
    );

    expect((await broker.channel.checkQueue(one)).consumerCount).toBe(0);
    expect(held).toHaveLength(0);
    flow.resume("test");
    await waitFor("the message", () => held.length);
    held[0]?.settle("ack");
  });
});

describe("Consumer after a release", () => {
  it("returns the messages in flight, aborts their handlers, and consumes them again", async () => {
    await fill(one, 2);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one], handle, flow });
    await waitFor("both", () => held.length === 2);

    flow.release();

    await waitFor("both again", () => held.length === 4);
    expect(held.slice(0, 2).map(({ delivery }) => delivery.signal.aborted)).toEqual([true, true]);
    expect(held.slice(2).map(({ delivery }) => delivery.redelivered)).toStrictEqual([true, true]);
    for (const { settle } of held) settle("ack");
    await waitFor(
      "settling",
      async () => (await rig.metric("wellsent_amqp_deliveries_total", { settled: "ack" })) === 2,
    );
    expect(await rig.metric("wellsent_amqp_deliveries_total", { settled: "lost" })).toBe(2);
  });

  it("returns the messages to the broker while paused, and does not consume them", async () => {
    await fill(one, 1);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one], handle, flow });
    await waitFor("the message", () => held.length === 1);

    flow.pause("test");
    flow.release();

    await depthIs(one, 1);
    expect(held).toHaveLength(1);
    held[0]?.settle("ack");
  });
});

describe("Consumer with a budget of bytes", () => {
  const fillLarge = async (messages: number, bytes: number) => {
    await fill(one, 0);
    for (let message = 0; message < messages; message += 1) {
      broker.channel.sendToQueue(one, Buffer.alloc(bytes), { persistent: true });
    }
    await broker.channel.waitForConfirms();
  };

  const bytesInFlight = () => rig.metric("wellsent_amqp_delivery_bytes_in_flight");

  it("has few large messages in flight, and consumes more as they are settled", async () => {
    await fillLarge(12, 100_000);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one], handle, budget: 100, budgetBytes: 300_000 });

    for (let next = 0; next < 12; next += 1) {
      await waitFor("the next", () => held.length > next);
      expect(await bytesInFlight()).toBeLessThanOrEqual(300_000);
      held[next]?.settle("ack");
    }

    await waitFor("no bytes", async () => (await bytesInFlight()) === 0);
  });

  it("does not count a dropped body", async () => {
    await fillLarge(1, 100_000);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one], handle });
    await waitFor("the message", () => held.length === 1);
    expect(await bytesInFlight()).toBe(100_000);

    held[0]?.delivery.dropBody();
    expect([await bytesInFlight(), held[0]?.delivery.body.length]).toEqual([0, 0]);

    held[0]?.settle("ack");
    await depthIs(one, 0);
    expect(await bytesInFlight()).toBe(0);
  });

  it("has as many small messages in flight as its budget of messages", async () => {
    await fill(one, 150);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one], handle, budget: 50, budgetBytes: 4_194_304 });

    for (let next = 0; next < 60; next += 1) {
      await waitFor("the next", () => held.length > next);
      held[next]?.settle("ack");
    }

    await waitFor("fifty at once", () => held.length >= 110);
    expect(await rig.metric("wellsent_amqp_deliveries_in_flight")).toBeGreaterThanOrEqual(50);
    for (const { settle } of held) settle("ack");
  });
});

describe("Consumer with a lock", () => {
  let holder: Rig;
  beforeEach(() => {
    holder = new Rig();
  });
  afterEach(() => holder.stop());

  const setUp = async (by: Rig, from: string) => {
    const lock = { queue: `lock-${count}`, heldReason: "another test consumes" };
    const { held, handle } = holdAll();
    const consumer = await by.consume(from, { queues: [one], handle, lock, budget: 1 });
    return { held, consumer, reason: () => consumer.check()?.reason };
  };

  it.each([
    [
      "lost",
      () => {
        proxy.cut();
        return Promise.resolve();
      },
    ],
    ["closed in order", () => holder.stop()],
  ])("waits, unready, and takes over when the holder's connection is %s", async (_, end) => {
    const first = await setUp(holder, proxy.url);
    await isUp(first.consumer);
    const second = await setUp(rig, url);
    await waitFor("the second to wait", () => second.reason() === "another test consumes");
    await fill(one, 2);
    await waitFor("the first's message", () => first.held.length === 1);
    expect(second.held).toEqual([]);

    proxy.refuse(true);
    await end();

    await waitFor("the second's message", () => second.held.length === 1, 10_000);
    expect(second.reason()).toBeUndefined();
    for (const { settle } of [...first.held, ...second.held]) settle("ack");
  });

  it("keeps its lock when only its channel is lost", async () => {
    const first = await setUp(holder, url);
    await isUp(first.consumer);
    const second = await setUp(rig, url);
    await waitFor("the second to wait", () => second.reason() === "another test consumes");

    await first.consumer.release();
    await waitFor("another channel of the first", () => first.consumer.channel !== undefined);

    expect([first.reason(), second.reason()]).toEqual([undefined, "another test consumes"]);
  });

  it("logs once that it waits, and does not log the channels that the broker closes", async () => {
    await isUp((await setUp(holder, url)).consumer);
    const second = await setUp(rig, proxy.url);
    await waitFor("the second to wait", () => second.reason() === "another test consumes");

    await waitFor("another try", watchFor("channel.open-ok"));
    await waitFor("one more", watchFor("channel.open-ok"));

    const said = rig.log.lines.filter(({ level }) => level === "warn" || level === "error");
    expect(said.map(({ message }) => message)).toEqual([
      "lock not acquired: another test consumes",
    ]);
  });
});

describe("Consumer on a lost channel", () => {
  it("settles only the handled message when connections break during handling", async () => {
    await fill(one, 40);
    const acknowledged: number[] = [];
    const { held, handle } = holdAll();
    await rig.consume(proxy.url, { queues: [one], handle, budget: 10 });

    for (let round = 1; round <= 3; round++) {
      const before = held.length;
      await waitFor(
        "a full prefetch",
        () => held.length >= before + 10 || held.length >= round * 10,
      );
      proxy.cut();
      await waitFor("the loss", () => held.at(-1)?.delivery.signal.aborted);
      // The tags are stale: on the next channel, the same tags belong to other messages.
      for (const { settle } of held) settle("ack");
    }
    const settleAll = () => {
      for (const { delivery, settle } of held.splice(0)) {
        if (!delivery.signal.aborted) acknowledged.push(numberOf(delivery));
        settle("ack");
      }
      return acknowledged.length >= 40;
    };
    await waitFor("forty", settleAll);

    await depthIs(one, 0);
    expect(new Set(acknowledged)).toStrictEqual(
      new Set(Array.from({ length: 40 }, (_, number) => number)),
    );
  });

  it("consumes again when the broker closes the connection by force", async () => {
    const { held, handle } = holdAll();
    const consumer = await rig.consume(url, { queues: [one], handle });
    await isUp(consumer);

    await ctl("close_all_connections", "--vhost", new URL(url).pathname.slice(1), "a test");
    await waitFor("the loss", () =>
      rig.log.lines.some(({ message }) => message === "broker connection lost"),
    );
    broker = await probe(url);
    await fill(one, 1);

    await waitFor("the message", () => held.length);
    held[0]?.settle("ack");
    await depthIs(one, 0);
    expect(held).toHaveLength(1);
  });
});

describe("Consumer of a queue that is deleted", () => {
  it("declares the queue again and consumes all queues", async () => {
    const { held, handle } = holdAll();
    const consumer = await rig.consume(url, { queues: [one, two], handle });
    await isUp(consumer);

    await broker.channel.deleteQueue(one);
    await waitFor("the queue", async () => {
      const look = await probe(url);
      const { consumerCount } = await look.channel.checkQueue(one).finally(() => look.close());
      return consumerCount === 1;
    });
    await fill(one, 1);
    await fill(two, 1);

    await waitFor("both messages", () => held.length === 2);
    for (const { settle } of held) settle("ack");
    expect(rig.failures).toStrictEqual([]);
  });

  it("settles nothing on the channel of the deleted queue", async () => {
    await fill(one, 1);
    await fill(two, 1);
    const { held, handle } = holdAll();
    await rig.consume(url, { queues: [one, two], handle });
    await waitFor("both messages", () => held.length === 2);

    await broker.channel.deleteQueue(one);
    await waitFor("the release", () => held[0]?.delivery.signal.aborted);
    for (const { settle } of held) settle("ack");

    await waitFor("the other message again", () => held.length === 3);
    expect(held[2]?.delivery).toMatchObject({ queue: two, redelivered: true });
    held[2]?.settle("ack");
    await depthIs(two, 0);
  });

  it("recovers when the queue is deleted before its channel is built", async () => {
    const secondConsume = Promise.withResolvers<"pass">();
    let consumes = 0;
    let cancelled = false;
    proxy.meddle((method) => {
      if (method === "basic.cancel") cancelled = true;
      return method === "basic.consume" && ++consumes === 2 ? secondConsume.promise : "pass";
    });
    const { held, handle } = holdAll();
    await rig.consume(proxy.url, { queues: [one, two], handle });
    await waitFor("the second consume", () => consumes === 2);

    await broker.channel.deleteQueue(one);
    await waitFor("the broker's cancel", () => cancelled);
    secondConsume.resolve("pass");

    await waitFor("the queue", async () => {
      const look = await probe(url);
      await look.channel.checkQueue(one).finally(() => look.close());
      return true;
    });
    await fill(one, 1);
    await waitFor("the message", () => held.length);
    held[0]?.settle("ack");
    expect(held.map(({ delivery }) => delivery.queue)).toStrictEqual([one]);
  });
});

describe("Consumer#stop", () => {
  it("settles the messages in flight, and consumes no more", async () => {
    await fill(one, 5);
    const cancelled = watchFor("basic.cancel-ok");
    const { held, handle } = holdAll();
    const consumer = await rig.consume(proxy.url, { queues: [one], handle, budget: 2 });
    await waitFor("two", () => held.length === 2);

    let stopped = false;
    const stop = consumer.stop(AbortSignal.timeout(10_000)).then(() => (stopped = true));
    await waitFor("the cancel", cancelled);
    expect(stopped).toBe(false);
    held[0]?.settle("ack");
    held[1]?.settle("reject");
    await stop;

    expect(held).toHaveLength(2);
    await depthIs(one, 3);
    await depthIs(`${one}.rejected`, 1);
  });

  it("returns unfinished messages to the broker at the deadline", async () => {
    await fill(one, 1);
    const { held, handle } = holdAll();
    const consumer = await rig.consume(url, { queues: [one], handle });
    await waitFor("the message", () => held.length === 1);

    await consumer.stop(AbortSignal.timeout(100));

    expect(held[0]?.delivery.signal.aborted).toBe(true);
    await depthIs(one, 1);
    held[0]?.settle("ack");
  });

  it("does not consume when it is resumed while it stops", async () => {
    await fill(one, 2);
    const { held, handle } = holdAll();
    const consumer = await rig.consume(url, { queues: [one], handle, flow, budget: 1 });
    await waitFor("the first", () => held.length === 1);

    const stop = consumer.stop(AbortSignal.timeout(10_000));
    flow.pause("test");
    flow.resume("test");
    held[0]?.settle("ack");
    await stop;

    expect(held).toHaveLength(1);
    await depthIs(one, 1);
  });

  it("stops within seconds when the broker does not answer", async () => {
    await fill(one, 1);
    const { held, handle } = holdAll();
    const consumer = await rig.consume(proxy.url, { queues: [one], handle });
    await waitFor("the message", () => held.length === 1);
    proxy.meddle(() => "drop");
    held[0]?.settle("ack");

    const began = Date.now();
    await consumer.stop(AbortSignal.timeout(10_000));

    expect(Date.now() - began).toBeLessThan(8_000);
    proxy.cut();
  });
});
