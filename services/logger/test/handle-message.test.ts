import { createFakeLog } from "@wellsent/testing";
import { AttemptLeases } from "../src/intake/attempt-leases.ts";
import { createHash } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import type { Delivery, Publication } from "@wellsent/amqp";
import type { Answer } from "@wellsent/contract";
import type { AuditLine } from "../src/audit/line.ts";
import { createHandler } from "../src/intake/handle-message.ts";
import { EMAIL_ID, testMetrics } from "./support.ts";

const email = { toaddr: ["a@example.com", "b@example.com"], subject: "s", body: "secret" };
const outcome = {
  kind: "email.sent",
  delivery: `${EMAIL_ID}.0.0`,
  time: "2026-11-23T12:00:00.000Z",
  recipient: "a@example.com",
  attempt: 1,
  possibleDuplicate: false,
};

function delivery(
  body: unknown,
  properties: Partial<Record<"messageId" | "type" | "headers", unknown>>,
  signal = new AbortController().signal,
): Delivery {
  return {
    queue: "logger",
    exchange: "",
    body: Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
    properties: properties as Delivery["properties"],
    redelivered: false,
    brokerVersion: "4.3.6",
    dropBody: () => undefined,
    signal,
  };
}

function setUp(write = (): Promise<void> => Promise.resolve()) {
  const lines: AuditLine[] = [];
  const parked: Publication[] = [];
  const answers: Publication[] = [];
  const metrics = testMetrics();
  const log = createFakeLog();
  const handle = createHandler({
    leases: new AttemptLeases(),
    record: (line) => write().then(() => void lines.push(line)),
    publisher: {
      publishUntilConfirmed: (publication) => Promise.resolve(void parked.push(publication)),
      publishWithin: (publication) => Promise.resolve(void answers.push(publication)),
    },
    ledger: {
      deferralsOf: () => Promise.resolve(2),
      idEndingIn: (end) => Promise.resolve(`0199c0de-0000-7def-${end}`),
      statusOf: () =>
        Promise.resolve({
          whole: true,
          last: "email.sent",
          time: "2026-11-23T12:00:00.000Z",
          possibleDuplicate: false,
        }),
    },
    metrics,
    log,
  });
  const unreadable = async () =>
    (await metrics.unreadable.get()).values.map(({ labels, value }) => [labels.code, value]);
  return { handle, lines, parked, answers, log, unreadable };
}

describe("createHandler", () => {
  it("records an accepted email for each recipient and acks", async () => {
    const { handle, lines } = setUp();

    const settlement = await handle(delivery(email, { messageId: EMAIL_ID, type: "email.v1" }));

    expect(settlement).toBe("ack");
    expect(lines.map(({ kind, recipient }) => [kind, recipient])).toEqual([
      ["email.accepted", "a@example.com"],
      ["email.accepted", "b@example.com"],
    ]);
    expect(JSON.stringify(lines)).not.toContain("secret");
  });

  it("flags an accepted email that may have been published before", async () => {
    const { handle, lines } = setUp();
    const properties = {
      messageId: EMAIL_ID,
      type: "email.v1",
      headers: { "x-maybe-duplicate": true },
    };

    await handle(delivery(email, properties));

    expect(lines.map(({ possibleDuplicate }) => possibleDuplicate)).toEqual([true, true]);
  });

  it("records an outcome under its messageId", async () => {
    const { handle, lines } = setUp();

    const settlement = await handle(delivery(outcome, { messageId: "m", type: "outcome.v1" }));

    expect(settlement).toBe("ack");
    expect(lines).toMatchObject([{ eventId: "m", id: EMAIL_ID, kind: "email.sent" }]);
  });

  it("records an outcome without a messageId under what its body is", async () => {
    const { handle, lines } = setUp();
    const sha256 = createHash("sha256").update(JSON.stringify(outcome)).digest("hex");

    await handle(delivery(outcome, { type: "outcome.v1" }));

    expect(lines[0]?.eventId).toBe(sha256);
  });

  it.each([
    ["without an id of ours", { messageId: undefined }],
    ["that is one recipient's delivery", { messageId: `${EMAIL_ID}.0.0`, type: "email.v1" }],
  ])("acks an email %s without a line", async (_, properties) => {
    const { handle, lines, unreadable } = setUp();

    expect(await handle(delivery(email, properties))).toBe("ack");

    expect(lines).toEqual([]);
    expect(await unreadable()).toEqual([]);
  });

  it.each([
    ["is not JSON", Buffer.from([0xff, 0xfe]), "MESSAGE_NOT_JSON"],
    ["is no email", { toaddr: 7 }, "MESSAGE_SCHEMA"],
  ])("acks and counts an email that %s: the emailer parks it", async (_, body, code) => {
    const { handle, lines, parked, unreadable, log } = setUp();

    expect(await handle(delivery(body, {}))).toBe("ack");

    expect([lines, parked]).toEqual([[], []]);
    expect(await unreadable()).toEqual([[code, 1]]);
    expect(log.lines).toMatchObject([{ code }]);
  });

  it("parks a malformed outcome with the reason", async () => {
    const { handle, lines, parked, unreadable } = setUp();

    const settlement = await handle(
      delivery({ ...outcome, attempt: 0 }, { messageId: "m", type: "outcome.v1" }),
    );

    expect([settlement, lines]).toEqual(["ack", []]);
    expect(parked).toMatchObject([
      { exchange: "", routingKey: "logger.parked", messageId: "m", type: "outcome.v1" },
    ]);
    expect(parked[0]?.headers?.["x-parked-reason"]).toMatch(/^attempt /);
    expect(await unreadable()).toEqual([["MESSAGE_SCHEMA", 1]]);
  });

  it("parks a malformed outcome whose properties could not be published again", async () => {
    const { handle, parked } = setUp();
    const tooLong = `outcome.v1${"\ufffd".repeat(100)}`;

    await handle(delivery("garbage", { messageId: "m", type: tooLong }));
    await handle(delivery("garbage", { messageId: tooLong, type: "outcome.v1" }));

    expect(parked[0]?.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(parked.map(({ type }) => type)).toEqual(["outcome.v1"]);
  });

  it.each([
    ["email", { messageId: EMAIL_ID, type: "email.v9" }],
    ["outcome", { messageId: "m", type: "outcome.v9" }],
    ["query", { messageId: "m", type: "query.v9" }],
    ["lease", { messageId: "m", type: "lease.v9" }],
  ])("holds an %s of a newer version, and says so", async (_, properties) => {
    const { handle, lines, parked, unreadable, log } = setUp();

    expect(await handle(delivery({}, properties))).toBe("reject");

    expect([lines, parked]).toEqual([[], []]);
    expect(await unreadable()).toEqual([["MESSAGE_VERSION_UNKNOWN", 1]]);
    expect(log.messages).toEqual(["message of a newer version held"]);
  });

  it("lets go of a delivery whose channel is lost while its line waits for the disk", async () => {
    const { handle } = setUp(() => new Promise(() => undefined));
    const channel = new AbortController();

    const handled = handle(
      delivery(outcome, { messageId: "m", type: "outcome.v1" }, channel.signal),
    );
    channel.abort();

    await expect(handled).rejects.toMatchObject({ code: "AMQP_CHANNEL_LOST" });
  });
});

describe("a query", () => {
  const query = (replyTo?: string) => {
    const asked = delivery({ delivery: `${EMAIL_ID}.0.0` }, { messageId: "q", type: "query.v1" });
    Object.assign(asked.properties, { replyTo, correlationId: "c" });
    return asked;
  };
  const REPLY_TO = "amq.rabbitmq.reply-to.abc";

  it("is answered when all that came before it is committed", async () => {
    const disk = Promise.withResolvers<undefined>();
    const { handle, answers } = setUp(() => disk.promise);

    const recorded = handle(delivery(outcome, { messageId: "e", type: "outcome.v1" }));
    const answered = handle(query(REPLY_TO));
    await new Promise(setImmediate);

    expect(answers).toEqual([]);
    disk.resolve(undefined);
    expect(await Promise.all([recorded, answered])).toEqual(["ack", "ack"]);
    expect(answers).toMatchObject([{ exchange: "", routingKey: REPLY_TO, correlationId: "c" }]);
    expect(JSON.parse(String(answers[0]?.body))).toMatchObject({
      last: "email.sent",
      attempts: 2,
    });
  });

  const ask = async (handle: ReturnType<typeof setUp>["handle"], more: object) => {
    const asked = query(REPLY_TO);
    const body = Buffer.from(JSON.stringify({ delivery: `${EMAIL_ID}.0.0`, ...more }));
    await handle({ ...asked, body });
  };
  const lease = (held: string[]) =>
    delivery({ holder: "one", held, released: [] }, { messageId: "l", type: "lease.v1" });

  it("is told of another emailer's lease until that delivery's outcome is recorded", async () => {
    const { handle, answers } = setUp();
    const leased = () => answers.map(({ body }) => (JSON.parse(String(body)) as Answer).leased);

    await handle(lease([`${EMAIL_ID}.0.0`]));
    await ask(handle, { holder: "two", acquire: true });
    await ask(handle, { holder: "one", acquire: true });
    expect(leased()).toEqual([true, false]);

    await handle(delivery(outcome, { messageId: "e", type: "outcome.v1" }));
    await ask(handle, { holder: "two" });
    expect(leased()).toEqual([true, false, false]);
  });

  it("is told as which email a foreign message was adopted", async () => {
    const { handle, answers } = setUp();

    await ask(handle, { digest: "8000-000000000002" });

    expect(JSON.parse(String(answers[0]?.body))).toMatchObject({
      adoptedAs: "0199c0de-0000-7def-8000-000000000002",
    });
  });

  it("is told of a lease that another copy's untried deferral does not end", async () => {
    const { handle, answers } = setUp();
    const untried = { ...outcome, kind: "email.deferred", reason: "UNTRIED" };

    await handle(lease([`${EMAIL_ID}.0.0`]));
    await handle(delivery(untried, { messageId: "e", type: "outcome.v1" }));
    await ask(handle, { holder: "two", acquire: true });

    expect((JSON.parse(String(answers[0]?.body)) as Answer).leased).toBe(true);
  });

  it("acks a lease that cannot be read", async () => {
    const { handle, parked } = setUp();

    expect(await handle(delivery({}, { messageId: "l", type: "lease.v1" }))).toBe("ack");
    expect(parked).toEqual([]);
  });

  it.each([undefined, "emailer", "amq.rabbitmq.reply-to"])(
    "is acked without an answer when it asks for one to %s",
    async (replyTo) => {
      const { handle, answers } = setUp();

      expect(await handle(query(replyTo))).toBe("ack");
      expect(answers).toEqual([]);
    },
  );
});

describe("a replay", () => {
  it("ends the parked generation and accepts the next", async () => {
    const { handle, lines } = setUp();

    await handle(delivery(email, { messageId: `${EMAIL_ID}.1.3`, type: "email.v1" }));

    expect(lines.map(({ kind, delivery, recipient }) => [kind, delivery, recipient])).toEqual([
      ["email.replayed", `${EMAIL_ID}.1.2`, "b@example.com"],
      ["email.accepted", `${EMAIL_ID}.1.3`, "b@example.com"],
    ]);
  });
});
