import { createHash } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import type { Delivery, Publication } from "@posthorn/chassis";
import type { AuditLine } from "../src/audit-line.ts";
import { createHandler } from "../src/handle-record.ts";
import { EMAIL_ID, keepLog, testMetrics } from "./support.ts";

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
    signal,
  };
}

function setUp(write = (): Promise<void> => Promise.resolve()) {
  const lines: AuditLine[] = [];
  const parked: Publication[] = [];
  const metrics = testMetrics();
  const log = keepLog();
  const handle = createHandler({
    record: (line) => write().then(() => void lines.push(line)),
    publish: (publication) => Promise.resolve(void parked.push(publication)),
    metrics,
    log,
  });
  const unreadable = async () =>
    (await metrics.unreadable.get()).values.map(({ labels, value }) => [labels.code, value]);
  return { handle, lines, parked, log, unreadable };
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
    expect(log.fields).toEqual([{ code }]);
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
