import { randomUUIDv7 } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import type { Delivery, Publication, Publisher } from "@wellsent/amqp";
import { isEmailId, newId, type Answer, type Outcome } from "@wellsent/contract";
import { createFakeLog } from "@wellsent/testing";
import { Registry } from "prom-client";
import { createHandler } from "../src/delivery/handle-delivery.ts";
import { Transfers } from "../src/delivery/transfers.ts";
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
function setUp(known?: Known | Known[], relay = () => Promise.resolve(), paused = false) {
  const published: Publication[] = [];
  const sent: string[] = [];
  const recorded: unknown[] = [];
  const asked: [delivery: string, acquire: boolean, isPatient: boolean][] = [];
  const waited: number[] = [];
  const released: string[] = [];
  const attempts: unknown[] = [];
  const publisher: Pick<Publisher, "publishUntilConfirmed"> = {
    publishUntilConfirmed: (publication) => {
      if (publication.exchange === "outcomes") {
        const outcome = JSON.parse(publication.body.toString()) as Outcome;
        recorded.push([outcome.kind, outcome.possibleDuplicate]);
        attempts.push(outcome.attempt);
      } else {
        published.push(publication);
      }
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
    guard: {
      ask: (id, { acquire, isPatient }) => {
        asked.push([id, acquire, isPatient]);
        const answer = { delivery: id, whole: true, possibleDuplicate: false };
        const next = Array.isArray(known) ? known.shift() : known;
        return Promise.resolve(next && { ...answer, ...next });
      },
      wait: (ms) => Promise.resolve(void waited.push(ms)),
      releaseLease: (id) => void released.push(id),
    },
    transfers: new Transfers(),
    pause: { over: () => Promise.resolve(!paused) },
    send: async (mail, { signal, admit }) => {
      await relay();
      signal.throwIfAborted();
      if (!(await admit())) return { verdict: "withdrawn" };
      sent.push(mail.envelope.to);
      return { verdict: "sent", reply: "250 ok", relay: "relay.example" };
    },
    metrics: createEmailerMetrics(new Registry()),
    log: createFakeLog(),
  });
  return { handle, published, sent, recorded, asked, waited, released, attempts };
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

  it("adopts a redelivered message under the id that the record knows, and marks it", async () => {
    const adoptedAs = newId();
    const { handle, published, asked } = setUp({ last: null, adoptedAs });
    const again = delivery("constant", undefined, true);
    Object.assign(again.properties, { headers: { "x-delivery-count": 1 } });

    expect(await handle(again)).toBe("ack");

    expect(asked).toHaveLength(1);
    expect(published).toMatchObject([
      { exchange: "adopted", messageId: adoptedAs, headers: { "x-maybe-duplicate": true } },
    ]);
  });

  it.each([
    ["nobody adopted it before", { last: null }],
    ["the record does not answer", undefined],
  ])("adopts a redelivered message under a new id when %s", async (_, known) => {
    const { handle, published } = setUp(known);
    const again = delivery("constant", undefined, true);
    Object.assign(again.properties, { headers: { "x-delivery-count": 1 } });

    expect(await handle(again)).toBe("ack");

    expect(published).toMatchObject([
      { exchange: "adopted", headers: { "x-maybe-duplicate": true } },
    ]);
    expect(isEmailId(published[0]?.messageId)).toBe(true);
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

describe("a message whose channel was lost before a relay had it", () => {
  const lost = () => {
    const error = new Error("lost");
    error.name = "AbortError";
    return Promise.reject(error);
  };
  const crashed = (id: string, crashes: number): Delivery => {
    const message = delivery(id, "email.v1", crashes > 0);
    Object.assign(message.properties, { headers: { "x-delivery-count": crashes } });
    return message;
  };

  it.each([
    ["is sent unflagged when only this emailer had it", 0, false],
    ["is sent flagged when an emailer had crashed with it before", 1, true],
  ])("%s", async (_, before, flagged) => {
    const relay = { send: lost };
    const { handle, recorded } = setUp({ last: "email.accepted" }, () => relay.send());
    const id = newId();

    expect(await handle(crashed(id, before))).toBe("leave");
    relay.send = () => Promise.resolve() as Promise<never>;
    expect(await handle(crashed(id, before + 1))).toBe("ack");

    expect(recorded).toEqual([["email.sent", flagged]]);
  });
});

describe("a delivery that goes down the ladder untried", () => {
  it("records the doubt that a crash left, which the next rung forgets", async () => {
    const { handle, recorded, sent } = setUp({ last: "email.accepted", leased: true });
    const again = delivery(newId(), "email.v1", true);

    expect(await handle(again)).toBe("reject");

    expect(sent).toEqual([]);
    expect(recorded).toEqual([["email.deferred", true]]);
  });

  it("records nothing of a marked message, which carries its doubt", async () => {
    const { handle, recorded } = setUp();
    const marked = delivery(newId(), "email.v1");
    Object.assign(marked.properties, { headers: { "x-maybe-duplicate": true } });

    expect(await handle(marked)).toBe("reject");

    expect(recorded).toEqual([]);
  });

  it("records nothing of a first copy while sending is paused", async () => {
    const { handle, recorded } = setUp(undefined, undefined, true);

    expect(await handle(delivery(newId(), "email.v1"))).toBe("reject");

    expect(recorded).toEqual([]);
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

  it("sends a marked delivery a rung down, for its first copy to be attempted first", async () => {
    const { handle, sent, recorded, asked } = setUp({ last: "email.accepted" });

    expect(await handle(marked())).toBe("reject");
    expect([asked, sent, recorded]).toEqual([[], [], []]);
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

  it("sends a copy a rung down while another emailer holds the lease", async () => {
    const { handle, sent, released } = setUp({ last: "email.deferred", leased: true });

    expect(await handle(offTheLadder())).toBe("reject");
    expect([sent, released]).toEqual([[], []]);
  });

  it("asks twice about a redelivered message, longer apart than a lease is valid", async () => {
    const { handle, sent, asked, waited } = setUp([
      { last: "email.accepted", leased: true },
      { last: "email.accepted" },
    ]);

    expect(await handle(again())).toBe("ack");
    expect(asked.map(([, acquire, isPatient]) => [acquire, isPatient])).toEqual([
      [false, true],
      [true, true],
    ]);
    expect(waited).toEqual([6_000]);
    expect(sent).toHaveLength(1);
  });

  const again = (count = 1, signal = new AbortController().signal): Delivery => {
    const copy = delivery(ID, "email.v1", true);
    Object.assign(copy.properties, { headers: { "x-delivery-count": count } });
    return { ...copy, signal };
  };
  const ID = randomUUIDv7();

  it("hears an emailer out that lost only its connection", async () => {
    const { handle, sent } = setUp([{ last: "email.accepted" }, { last: "email.sent" }]);

    expect(await handle(again())).toBe("ack");
    expect(sent).toEqual([]);
  });

  it("flags a message that an emailer crashed with, though nothing is recorded", async () => {
    const { handle, recorded } = setUp({ last: "email.accepted" });

    await handle(again());

    expect(recorded).toEqual([["email.sent", true]]);
  });

  it("neither waits nor flags when this emailer lost the connection and gave the message to no relay", async () => {
    const lost = new AbortController();
    const { handle, recorded, waited } = setUp({ last: "email.accepted" }, () => {
      if (!lost.signal.aborted) lost.abort();
      return Promise.resolve();
    });
    const first = { ...delivery(ID, "email.v1"), signal: lost.signal };

    expect(await handle(first)).toBe("leave");
    expect(await handle(again())).toBe("ack");

    expect(waited).toEqual([]);
    expect(recorded).toEqual([["email.sent", false]]);
  });

  it("waits and flags when another emailer lost it after this one", async () => {
    const lost = new AbortController();
    const { handle, recorded, waited } = setUp({ last: "email.accepted" }, () => {
      if (!lost.signal.aborted) lost.abort();
      return Promise.resolve();
    });

    await handle({ ...delivery(ID, "email.v1"), signal: lost.signal });
    await handle(again(2));

    expect(waited).toEqual([6_000]);
    expect(recorded).toEqual([["email.sent", true]]);
  });

  it("does not keep a plain retry waiting for an answer", async () => {
    const { handle, asked } = setUp({ last: "email.deferred" });

    await handle(offTheLadder());

    expect(asked.map(([, acquire, isPatient]) => [acquire, isPatient])).toEqual([[true, false]]);
  });

  it("counts the attempts that the record knows, not the rejections of the broker", async () => {
    const { handle, attempts } = setUp({ last: "email.deferred", attempts: 3 });

    await handle(offTheLadder());

    expect(attempts).toEqual([4]);
  });

  it("sends the second copy a rung down while the first one waits in the same emailer", async () => {
    const relay = Promise.withResolvers<undefined>();
    const { handle, sent } = setUp({ last: "email.accepted" }, () => relay.promise);

    const first = handle(delivery(ID, "email.v1"));
    const copy = offTheLadder({ "x-maybe-duplicate": true });
    Object.assign(copy.properties, { messageId: ID });
    expect(await handle(copy)).toBe("reject");

    relay.resolve(undefined);
    expect(await first).toBe("ack");
    expect(sent).toHaveLength(1);
  });

  it("gives up the lease of a delivery that is not sent while sending is paused", async () => {
    const { handle, sent, released } = setUp({ last: "email.deferred" }, undefined, true);

    expect(await handle(offTheLadder())).toBe("reject");
    expect(sent).toEqual([]);
    expect(released).toHaveLength(1);
  });
});

describe("a first copy that waited for a relay", () => {
  const slowly = () => sleep(3_100);

  it.each<[string, Known | undefined, string, unknown[]]>([
    [
      "is sent when the record knows nothing",
      { last: "email.accepted" },
      "ack",
      [["email.sent", false]],
    ],
    ["is not sent when another copy was", { last: "email.sent" }, "ack", []],
    ["goes a rung down when another copy is sent", { last: null, leased: true }, "reject", []],
    ["is sent and needs no flag when nobody answers", undefined, "ack", [["email.sent", false]]],
  ])("%s", async (_, known, settlement, outcomes) => {
    const { handle, recorded, asked } = setUp(known, slowly);

    expect(await handle(delivery(randomUUIDv7(), "email.v1"))).toBe(settlement);
    expect(asked).toMatchObject([[expect.any(String), true, false]]);
    expect(recorded).toEqual(outcomes);
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
