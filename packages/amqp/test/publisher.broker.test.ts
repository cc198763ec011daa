import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { createVhost, deleteVhost, type Probe, probe, waitFor } from "@wellsent/testing";
import type { Publication } from "../src/publication.ts";
import type { Publisher, PublisherOptions } from "../src/publisher.ts";
import type { Topology } from "../src/declare.ts";
import { PublishRefused, PublishUnknown } from "@wellsent/runtime";
import { Rig } from "./rig.ts";
import { startProxy, type Proxy } from "./proxy.ts";

const TOPOLOGY: Topology = {
  exchanges: [
    { name: "bound", type: "fanout", durable: true },
    { name: "unbound", type: "fanout", durable: true },
  ],
  queues: [
    { name: "queue", arguments: { "x-queue-type": "quorum" } },
    {
      name: "full",
      arguments: { "x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish" },
    },
  ],
  bindings: [{ source: "bound", destination: "queue", to: "queue", key: "" }],
};

let url: string;
let broker: Probe;
let proxy: Proxy;
let rig: Rig;
/** Passes on the confirms that {@link holdConfirms} holds back. */
let release: () => void;

beforeAll(async () => {
  url = await createVhost();
  broker = await probe(url);
});
afterAll(async () => {
  await broker.close();
  await deleteVhost(url);
});
beforeEach(async () => {
  rig = new Rig();
  release = () => undefined;
  proxy = await startProxy(url);
});
afterEach(async () => {
  release();
  await rig.stop();
  await proxy.close();
  await broker.channel.deleteQueue("queue");
});

async function startPublisher(options: Partial<PublisherOptions> = {}): Promise<Publisher> {
  const publisher = await rig.publish(proxy.url, { topology: TOPOLOGY, ...options });
  await waitFor("a channel", () => !publisher.refusal());
  return publisher;
}

let count = 0;
const message = (overrides: Partial<Publication> = {}): Publication => ({
  exchange: "bound",
  routingKey: "",
  messageId: `message-${++count}`,
  body: Buffer.from("{}"),
  ...overrides,
});

/** Holds back the broker's confirms. */
function holdConfirms(): void {
  const { promise, resolve } = Promise.withResolvers<"pass">();
  proxy.meddle((method) => (method === "basic.ack" ? promise : "pass"));
  release = () => {
    resolve("pass");
  };
}

/** Resolves to the error of a publish, or to undefined if it was confirmed. */
const settled = (publish: Promise<void>) => publish.catch((error: unknown) => error);

describe("Publisher#publish", () => {
  it("resolves when the message is in the queue, whole and persistent", async () => {
    const publisher = await startPublisher();
    const body = Buffer.from('{"text":"😀"}');

    await publisher.publish(
      message({
        messageId: "id",
        type: "email.v1",
        timestamp: 1_700_000_000_999,
        headers: { a: 1 },
        body,
      }),
    );

    const stored = await broker.channel.get("queue", { noAck: true });
    expect(stored).toMatchObject({
      content: body,
      properties: {
        messageId: "id",
        type: "email.v1",
        timestamp: 1_700_000_000,
        contentType: "application/json",
        deliveryMode: 2,
        headers: expect.objectContaining({ a: 1 }),
      },
    });
  });

  it("publishes a message without a type", async () => {
    const publisher = await startPublisher();

    await publisher.publish(message({ type: undefined }));

    const stored = await broker.channel.get("queue", { noAck: true });
    expect(stored && stored.properties.type).toBeUndefined();
  });

  it("confirms a thousand concurrent messages, each once", async () => {
    const publisher = await startPublisher();

    await Promise.all(Array.from({ length: 1_000 }, () => publisher.publish(message())));

    expect(await broker.depth("queue")).toBe(1_000);
    expect(
      await rig.metric("wellsent_amqp_publishes_total", { exchange: "bound", result: "confirmed" }),
    ).toBe(1_000);
    expect(await rig.metric("wellsent_amqp_publishes_in_flight")).toBe(0);
  });

  it("rejects with AMQP_UNROUTABLE if no queue is bound", async () => {
    const publisher = await startPublisher();

    const error = await settled(publisher.publish(message({ exchange: "unbound" })));

    expect(error).toBeInstanceOf(PublishRefused);
    expect(error).toMatchObject({ code: "AMQP_UNROUTABLE" });
    expect(
      await rig.metric("wellsent_amqp_publishes_total", {
        exchange: "unbound",
        result: "AMQP_UNROUTABLE",
      }),
    ).toBe(1);
  });

  it("distinguishes a returned message from a routed one with the same id", async () => {
    const publisher = await startPublisher();
    const exchanges = ["bound", "unbound", "bound"];

    const results = await Promise.all(
      exchanges.map((exchange) =>
        settled(publisher.publish(message({ exchange, messageId: "same" }))),
      ),
    );

    expect(results).toMatchObject([undefined, { code: "AMQP_UNROUTABLE" }, undefined]);
  });

  it("rejects with AMQP_UNROUTABLE on the default exchange if the queue is missing", async () => {
    const publisher = await startPublisher();

    const publish = publisher.publish(message({ exchange: "", routingKey: "absent" }));

    await expect(publish).rejects.toMatchObject({ code: "AMQP_UNROUTABLE" });
    expect(await rig.metric("wellsent_amqp_publishes_total", { exchange: "(default)" })).toBe(1);
  });

  it("rejects with AMQP_NACKED if the queue did not store the message", async () => {
    const publisher = await startPublisher();
    const publish = () => settled(publisher.publish(message({ exchange: "", routingKey: "full" })));

    const refused = await waitFor("a nack", async () => await publish());

    expect(refused).toBeInstanceOf(PublishUnknown);
    expect(refused).toMatchObject({ code: "AMQP_NACKED" });
  });

  it("rejects with AMQP_WINDOW_FULL while too many messages wait for their confirms", async () => {
    holdConfirms();
    const publisher = await startPublisher({ windowSize: 2 });
    const waiting = [publisher.publish(message()), publisher.publish(message())];

    await expect(publisher.publish(message())).rejects.toMatchObject({ code: "AMQP_WINDOW_FULL" });

    release();
    await Promise.all(waiting);
    await expect(publisher.publish(message())).resolves.toBeUndefined();
  });

  it("rejects with AMQP_CONFIRM_TIMEOUT without a confirm in time, and the message stays in the window", async () => {
    holdConfirms();
    const publisher = await startPublisher({ windowSize: 1, timeoutMs: 100 });

    const error = await settled(publisher.publish(message()));

    expect(error).toBeInstanceOf(PublishUnknown);
    expect(error).toMatchObject({ code: "AMQP_CONFIRM_TIMEOUT" });
    expect(publisher.refusal()).toMatchObject({ code: "AMQP_WINDOW_FULL" });
    release();
    await waitFor("room in the window", () => !publisher.refusal());
  });

  it("rejects all unconfirmed messages with AMQP_CHANNEL_LOST when the connection breaks", async () => {
    holdConfirms();
    const publisher = await startPublisher();
    const publishes = Array.from({ length: 100 }, () => settled(publisher.publish(message())));
    await waitFor("the messages", async () => (await broker.depth("queue")) === 100);

    proxy.cut();

    const errors = await Promise.all(publishes);
    expect(errors.every((error) => error instanceof PublishUnknown)).toBe(true);
    expect(new Set(errors.map((error) => (error as PublishUnknown).code))).toStrictEqual(
      new Set(["AMQP_CHANNEL_LOST"]),
    );
    expect(await rig.metric("wellsent_amqp_publishes_in_flight")).toBe(0);
  });

  it("rejects with AMQP_CHANNEL_LOST when the broker closes the channel, and recovers", async () => {
    const publisher = await startPublisher();

    await expect(publisher.publish(message({ exchange: "absent" }))).rejects.toMatchObject({
      code: "AMQP_CHANNEL_LOST",
    });

    await waitFor("a channel", () => !publisher.refusal());
    await expect(publisher.publish(message())).resolves.toBeUndefined();
  });

  it("rejects with AMQP_DISCONNECTED while the broker is down, and publishes when it is up", async () => {
    const publisher = await startPublisher();
    proxy.refuse(true);
    proxy.cut();
    await waitFor("the loss", () => publisher.refusal());

    const error = await settled(publisher.publish(message()));

    expect(error).toBeInstanceOf(PublishRefused);
    expect(error).toMatchObject({ code: "AMQP_DISCONNECTED" });
    proxy.refuse(false);
    await waitFor("a channel", () => !publisher.refusal());
    await expect(publisher.publish(message())).resolves.toBeUndefined();
  });

  it("rejects before the first connection", async () => {
    const publisher = await rig.publish("amqp://127.0.0.1:1/");

    await expect(publisher.publish(message())).rejects.toMatchObject({ code: "AMQP_DISCONNECTED" });
  });

  it("rejects a message that AMQP cannot encode, without an effect on other messages", async () => {
    const publisher = await startPublisher();
    const huge = { headers: { huge: "x".repeat(100_000) } };

    const results = await Promise.all([
      settled(publisher.publish(message())),
      settled(publisher.publish(message(huge))),
      settled(publisher.publish(message({ exchange: "unbound" }))),
      settled(publisher.publish(message())),
    ]);

    expect(results).toMatchObject([
      undefined,
      expect.any(PublishRefused),
      { code: "AMQP_UNROUTABLE" },
      undefined,
    ]);
  });

  it("publishes again after its queue was deleted and bound again", async () => {
    const publisher = await startPublisher();
    await broker.channel.deleteQueue("queue");
    await expect(publisher.publish(message())).rejects.toMatchObject({ code: "AMQP_UNROUTABLE" });

    await broker.channel.assertQueue("queue", { arguments: { "x-queue-type": "quorum" } });
    await broker.channel.bindQueue("queue", "bound", "");

    await expect(publisher.publish(message())).resolves.toBeUndefined();
  });
});

describe("Publisher#publishUntilConfirmed", () => {
  it("publishes again, with the same id, until the message is confirmed", async () => {
    holdConfirms();
    const publisher = await startPublisher();
    const publish = publisher.publishUntilConfirmed(message({ messageId: "again" }));
    await waitFor("the message", () => broker.depth("queue"));

    proxy.cut();
    release();
    await publish;

    const ids = await Promise.all(
      [1, 2].map(async () => {
        const stored = await broker.channel.get("queue", { noAck: true });
        return stored && (stored.properties.messageId as unknown);
      }),
    );
    expect(ids).toStrictEqual(["again", "again"]);
  });

  it("retries until a queue is bound", async () => {
    const publisher = await startPublisher();
    const publish = publisher.publishUntilConfirmed(message({ exchange: "", routingKey: "later" }));
    await waitFor("a return", () =>
      rig.metric("wellsent_amqp_publishes_total", { result: "AMQP_UNROUTABLE" }),
    );

    await broker.channel.assertQueue("later", { arguments: { "x-queue-type": "quorum" } });

    await expect(publish).resolves.toBeUndefined();
    expect(await broker.depth("later")).toBe(1);
  });

  it("rejects with the last error when the signal aborts first", async () => {
    const publisher = await rig.publish("amqp://127.0.0.1:1/");
    const abort = new AbortController();
    const publish = publisher.publishUntilConfirmed(message(), abort.signal);

    abort.abort();

    await expect(publish).rejects.toMatchObject({ code: "AMQP_DISCONNECTED" });
  });
});

describe("Publisher#stop", () => {
  it("waits for the outstanding confirms", async () => {
    holdConfirms();
    const publisher = await startPublisher();
    const publish = publisher.publish(message());
    await waitFor("the message", () => broker.depth("queue"));

    const stop = publisher.stop(AbortSignal.timeout(10_000));
    release();

    await expect(publish).resolves.toBeUndefined();
    await stop;
    expect(publisher.refusal()).toMatchObject({ code: "AMQP_DISCONNECTED" });
  });

  it("rejects with an unknown outcome if the confirm does not arrive before the deadline", async () => {
    holdConfirms();
    const publisher = await startPublisher({ timeoutMs: 1_000 });
    const publish = settled(publisher.publish(message()));

    const began = Date.now();
    await publisher.stop(AbortSignal.timeout(100));

    expect(Date.now() - began).toBeLessThan(6_000);
    expect(await publish).toMatchObject({ code: "AMQP_CONFIRM_TIMEOUT" });
  });
});
