import { randomUUIDv7 } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import type { Delivery, Publication, Publisher } from "@wellsent/amqp";
import type { Answer, Outcome, Query } from "@wellsent/contract";
import { createFakeLog } from "@wellsent/testing";
import { Registry } from "prom-client";
import { createHandler } from "../src/delivery/handle-delivery.ts";
import { createEmailerMetrics } from "../src/metrics.ts";

const email = { toaddr: "a@example.com", subject: "s", body: "b" };

function delivery(
  messageId: string,
  type?: string,
  redelivered = false,
  more: object = {},
): Delivery {
  return {
    queue: "emailer",
    exchange: "emails",
    body: Buffer.from(JSON.stringify({ ...email, ...more })),
    properties: { messageId, type, headers: {} } as unknown as Delivery["properties"],
    redelivered,
    brokerVersion: "4.3.6",
    dropBody: () => undefined,
    signal: new AbortController().signal,
  };
}

type Known = Pick<Answer, "last"> & Partial<Answer>;

/** `known`: what is recorded, or what one question after the other is answered. */
function setUp(known?: Known | Known[], relay = () => Promise.resolve()) {
  const published: Publication[] = [];
  const sent: string[] = [];
  const recorded: unknown[] = [];
  const asked: Query[] = [];
  const publisher: Pick<Publisher, "publishUntilConfirmed"> = {
    publishUntilConfirmed: (publication) => {
      if (publication.exchange === "outcomes") {
        const { kind, possibleDuplicate } = JSON.parse(publication.body.toString()) as Outcome;
        recorded.push([kind, possibleDuplicate]);
      } else published.push(publication);
      return Promise.resolve();
    },
  };
  const handle = createHandler({
    maxAttempts: 27,
    onAmbiguous: "retry",
    sender: {
      from: { name: "", address: "news@example.com" },
      envelopeFrom: "bounces@example.com",
    },
    publisher,
    ask: (query) => {
      const { delivery } = query;
      asked.push(query);
      const answer = { delivery, whole: true, possibleDuplicate: false };
      const next = Array.isArray(known) ? known.shift() : known;
      return Promise.resolve(next && { ...answer, ...next });
    },
    send: async (mail, { signal }) => {
      await relay();
      signal.throwIfAborted();
      sent.push(mail.envelope.to);
      return { verdict: "sent", reply: "250 ok", relay: "relay.example" };
    },
    metrics: createEmailerMetrics(new Registry()),
    log: createFakeLog(),
  });
  return { handle, published, sent, recorded, asked };
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

describe("the guard", () => {
  const ended = ["email.sent", "email.failed", "email.parked", "email.replayed", "email.deleted"];
  it.each(ended as Answer["last"][])("settles without sending what is %s already", async (last) => {
    const { handle, sent, recorded } = setUp({ last });

    expect(await handle(delivery(randomUUIDv7(), "email.v1", true))).toBe("ack");
    expect(sent).toEqual([]);
    expect(recorded).toEqual([]);
  });

  it("is not asked about a delivery that nobody had before", async () => {
    const { handle, sent, asked, recorded } = setUp({ last: "email.sent" });

    await handle(delivery(randomUUIDv7(), "email.v1"));

    expect(asked).toEqual([]);
    expect(sent).toHaveLength(1);
    expect(recorded).toEqual([["email.sent", false]]);
  });

  /** As the broker hands a delivery over that was rejected once. */
  const offTheLadder = (headers: object = {}): Delivery => {
    const later = delivery(randomUUIDv7(), "email.v1");
    const rejected = { queue: "emailer", reason: "rejected", count: 1 };
    Object.assign(later.properties, { headers: { ...headers, "x-death": [rejected] } });
    return { ...later, queue: "emailer.attempt.1", exchange: "emailer.retry" };
  };
  it.each<[string, Known | undefined, boolean]>([
    ["nobody answers", undefined, true],
    ["the ledger is being built", { last: "email.deferred", whole: false }, true],
    [
      "an earlier attempt may have been taken",
      { last: "email.deferred", possibleDuplicate: true },
      true,
    ],
    ["it was refused for a while", { last: "email.deferred" }, false],
    ["nothing is known", { last: null }, false],
  ])("flags a later attempt as it must when %s", async (_, known, flagged) => {
    const { handle, recorded } = setUp(known);

    await handle(offTheLadder());

    expect(recorded).toEqual([["email.sent", flagged]]);
  });

  const marked = (): Delivery => {
    const twin = delivery(randomUUIDv7(), "email.v1");
    Object.assign(twin.properties, { headers: { "x-maybe-duplicate": true } });
    return twin;
  };

  it("lets a marked delivery go a rung down while its twin may be in other hands", async () => {
    const { handle, sent, recorded, asked } = setUp({ last: "email.accepted", twin: true });

    expect(await handle(marked())).toBe("reject");
    expect(asked).toMatchObject([{ attempt: 1, marked: true, again: false }]);
    expect(sent).toEqual([]);
    expect(recorded).toEqual([]);
  });

  it("sends and flags a marked delivery of which nothing was heard a rung later", async () => {
    const { handle, recorded } = setUp({ last: "email.accepted" });

    await handle(offTheLadder({ "x-maybe-duplicate": true }));

    expect(recorded).toEqual([["email.sent", true]]);
  });

  it("sends once what a broker moved down the ladder twice, to the same emailer", async () => {
    const { handle, sent, recorded } = setUp({ last: "email.deferred" });
    const copies = offTheLadder();

    const settled = await Promise.all([handle(copies), handle({ ...copies })]);

    expect(settled).toEqual(["ack", "ack"]);
    expect(sent).toHaveLength(1);
    expect(recorded).toEqual([["email.sent", false]]);
  });

  it("lets a copy go a rung down whose twin is in another emailer's hands", async () => {
    const { handle, sent } = setUp({ last: "email.deferred", twin: true });

    expect(await handle(offTheLadder())).toBe("reject");
    expect(sent).toEqual([]);
  });

  it("says that its emailer died with it after it had asked", async () => {
    const { handle, recorded, asked } = setUp({ last: "email.deferred" });

    await handle(offTheLadder({ "x-delivery-count": 2 }));

    expect(asked[0]).toMatchObject({ marked: false, again: true });
    expect(recorded).toEqual([["email.sent", true]]);
  });

  it("hears an emailer out that lost only its connection", async () => {
    const { handle, sent } = setUp([{ last: "email.accepted" }, { last: "email.sent" }]);
    const again = delivery(randomUUIDv7(), "email.v1", true);
    Object.assign(again.properties, { headers: { "x-delivery-count": 1 } });

    expect(await handle(again)).toBe("ack");
    expect(sent).toEqual([]);
  });

  it("flags what an emailer died with, though nothing is recorded", async () => {
    const { handle, recorded, asked } = setUp({ last: "email.accepted" });
    const id = randomUUIDv7();

    await handle(delivery(id, "email.v1", true));

    expect(asked.map(({ delivery }) => delivery)).toEqual([`${id}.0.0`]);
    expect(recorded).toEqual([["email.sent", true]]);
  });
});

describe("an email that expires", () => {
  const inSeconds = (seconds: number) => ({
    expiresAt: new Date(Date.now() + seconds * 1_000).toISOString(),
  });

  it.each([
    ["expired before it came", inSeconds(-1), () => Promise.resolve()],
    ["expires while it waits for a relay", inSeconds(0.1), () => sleep(300)],
  ])("is parked and never sent when it %s", async (_, expiry, relay) => {
    const { handle, sent, recorded, published } = setUp(undefined, relay);

    expect(await handle(delivery(randomUUIDv7(), "email.v1", false, expiry))).toBe("ack");

    expect(sent).toEqual([]);
    expect(recorded).toEqual([["email.parked", false]]);
    expect(published).toMatchObject([{ headers: { "x-parked-reason": "EXPIRED" } }]);
  });

  it("is sent in time", async () => {
    const { handle, sent } = setUp();

    await handle(delivery(randomUUIDv7(), "email.v1", false, inSeconds(60)));

    expect(sent).toHaveLength(1);
  });
});
