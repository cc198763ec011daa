import { randomUUIDv7 } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import type { Delivery, Log, Publication, Publisher } from "@posthorn/chassis";
import { Registry } from "prom-client";
import { createHandler } from "../src/handle-delivery.ts";
import { createEmailerMetrics } from "../src/metrics.ts";

const email = { toaddr: "a@example.com", subject: "s", body: "b" };

function delivery(messageId: string, type?: string, redelivered = false): Delivery {
  return {
    queue: "emailer",
    exchange: "emails",
    body: Buffer.from(JSON.stringify(email)),
    properties: { messageId, type, headers: {} } as unknown as Delivery["properties"],
    redelivered,
    brokerVersion: "4.3.6",
    signal: new AbortController().signal,
  };
}

function setUp() {
  const published: Publication[] = [];
  const sent: string[] = [];
  const silent = () => undefined;
  const log: Log = { debug: silent, info: silent, warn: silent, error: silent };
  const publisher: Pick<Publisher, "publishUntilConfirmed"> = {
    publishUntilConfirmed: (publication) => Promise.resolve(void published.push(publication)),
  };
  const handle = createHandler({
    rungs: 4,
    maxAttempts: 27,
    onAmbiguous: "retry",
    sender: { from: "news@example.com", envelopeFrom: "bounces@example.com" },
    publisher: publisher as Publisher,
    record: () => Promise.resolve(),
    send: (mail) => {
      sent.push(mail.envelope.to);
      return Promise.resolve({ verdict: "sent", reply: "250 ok", relay: "relay.example" });
    },
    metrics: createEmailerMetrics(new Registry()),
    log,
  });
  return { handle, published, sent };
}

describe("createHandler", () => {
  it("sends an email once that is handed over again", async () => {
    const { handle, sent } = setUp();
    const id = randomUUIDv7();

    const settled = [
      await handle(delivery(id, "email.v1")),
      await handle(delivery(id, "email.v1", true)),
    ];

    expect(settled).toEqual(["ack", "ack"]);
    expect(sent).toEqual(["a@example.com"]);
  });

  it("adopts each foreign message, also where all come with the same messageId", async () => {
    const { handle, published } = setUp();

    const settled = [await handle(delivery("constant")), await handle(delivery("constant"))];

    expect(settled).toEqual(["ack", "ack"]);

    expect(published.map(({ exchange }) => exchange)).toEqual(["adopted", "adopted"]);
    expect(new Set(published.map(({ messageId }) => messageId)).size).toBe(2);
  });

  it("parks a message under a type that can be published", async () => {
    const { handle, published } = setUp();
    const unreadable = { ...delivery("x", "\ufffd".repeat(200)), body: Buffer.from("no JSON") };

    expect(await handle(unreadable)).toBe("ack");

    expect(published.map(({ routingKey, type }) => [routingKey, type])).toEqual([
      ["emailer.parked", undefined],
    ]);
  });
});
