import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createVhost, deleteVhost, probe, type Probe } from "@wellsent/testing";
import { declare, type Topology } from "../src/declare.ts";

let url: string;
let broker: Probe;

beforeAll(async () => {
  url = await createVhost();
  broker = await probe(url);
});
afterAll(async () => {
  await broker.close();
  await deleteVhost(url);
});

const quorum = { "x-queue-type": "quorum" };

/** A message to `<name>.in` goes to `<name>.out`, and from there to the queue `<name>`. */
function topologyOf(name: string): Topology {
  return {
    exchanges: [
      { name: `${name}.in`, type: "fanout", durable: true },
      { name: `${name}.out`, type: "direct", durable: true },
    ],
    queues: [{ name, arguments: quorum }],
    bindings: [
      { source: `${name}.in`, destination: `${name}.out`, to: "exchange", key: "" },
      { source: `${name}.out`, destination: name, to: "queue", key: "known" },
    ],
  };
}

async function publish(exchange: string, key: string): Promise<void> {
  broker.channel.publish(exchange, key, Buffer.from("{}"));
  await broker.channel.waitForConfirms();
}

describe("declare", () => {
  it("creates exchanges, a durable queue, and bindings to both", async () => {
    await declare(broker.channel, topologyOf("created"));

    await publish("created.in", "known");
    await publish("created.in", "unknown");

    expect(await broker.channel.checkQueue("created")).toMatchObject({ messageCount: 1 });
  });

  it("keeps the messages of an existing queue", async () => {
    await declare(broker.channel, topologyOf("kept"));
    await publish("kept.in", "known");

    await declare(broker.channel, topologyOf("kept"));

    expect(await broker.channel.checkQueue("kept")).toMatchObject({ messageCount: 1 });
  });

  it("restores a removed binding, also without the rest of the topology", async () => {
    const { bindings } = topologyOf("bound");
    await declare(broker.channel, topologyOf("bound"));
    await broker.channel.unbindQueue("bound", "bound.out", "known");

    await declare(broker.channel, { bindings });
    await publish("bound.in", "known");

    expect(await broker.channel.checkQueue("bound")).toMatchObject({ messageCount: 1 });
  });

  it("rejects with 406 if a queue exists with other arguments", async () => {
    await declare(broker.channel, topologyOf("other"));
    const other = await probe(url);
    const queues = [{ name: "other", arguments: { "x-queue-type": "classic" } }];

    await expect(declare(other.channel, { queues })).rejects.toMatchObject({ code: 406 });
    await other.close();
  });
});
