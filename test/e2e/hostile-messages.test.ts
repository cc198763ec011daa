import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { randomUUIDv7 } from "node:crypto";
import { probe, type Probe, waitFor } from "@wellsent/testing";
import { allReady, startSystem, type System } from "../support/system.ts";

let system: System;
let broker: Probe;

beforeAll(async () => {
  const offered = new Set<string>();
  const laterOnce = (address: string) =>
    address.startsWith("later") && !offered.has(address) && offered.add(address);
  system = await startSystem({ rule: (address) => (laterOnce(address) ? 450 : undefined) });
  await allReady(system);
  broker = await probe(system.amqp);
});

afterAll(async () => {
  await broker.close();
  await system.stop();
});

const ours = () => ({ messageId: randomUUIDv7(), type: "email.v1", persistent: true });
const good = { toaddr: "good@example.com", subject: "Good", body: "Good" };

const POISON: [string, Buffer][] = [
  ["no JSON", Buffer.from("garbage")],
  ["nothing", Buffer.alloc(0)],
  ["bytes that are no UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
  ["null", Buffer.from("null")],
  ["a list", Buffer.from("[1,2,3]")],
  ["wrong types", Buffer.from(JSON.stringify({ toaddr: 1, subject: {}, body: [] }))],
  ["no recipient", Buffer.from(JSON.stringify({ ...good, toaddr: [] }))],
  [
    "a line break in the address",
    Buffer.from(JSON.stringify({ ...good, toaddr: "a@example.com\r\nBcc: b@example.com" })),
  ],
  [
    "a line break in the subject",
    Buffer.from(JSON.stringify({ ...good, subject: "a\r\nBcc: b@example.com" })),
  ],
  ["a body of 3 MB", Buffer.from(JSON.stringify({ ...good, body: "x".repeat(3_000_000) }))],
  ["deep nesting", Buffer.from(`${"[".repeat(100_000)}${"]".repeat(100_000)}`)],
];

describe("messages on the exchange emails", () => {
  it.each(POISON)("parks %s with its reason and delivers the next good one", async (_, body) => {
    const parked = await broker.depth("emailer.parked");
    const taken = system.sink.taken.length;
    const lines = () => system.audit().filter((line) => line.kind === "email.parked");
    const before = lines().length;

    broker.channel.publish("emails", "", body, ours());
    broker.channel.publish("emails", "", Buffer.from(JSON.stringify(good)), ours());

    await waitFor("the good one", () => system.sink.taken.length === taken + 1);
    await waitFor(
      "the bad one, parked",
      async () => (await broker.depth("emailer.parked")) === parked + 1,
    );
    await waitFor("its line", () => lines().length > before);
    expect(lines().at(-1)?.reason).toMatch(/^MESSAGE_/);
  });

  it("delivers good ones among 1,000 poison messages", async () => {
    const taken = system.sink.taken.length;
    const parked = await broker.depth("emailer.parked");

    for (let number = 0; number < 1_000; number += 1) {
      broker.channel.publish(
        "emails",
        "",
        POISON[(number % POISON.length) - 1]?.[1] ?? Buffer.from("x"),
        ours(),
      );
      if (number % 100 === 0) {
        broker.channel.publish("emails", "", Buffer.from(JSON.stringify(good)), ours());
      }
    }

    const all = async () => (await broker.depth("emailer.parked")) === parked + 1_000;
    await waitFor("all poison parked", all, 30_000);
    expect(system.sink.taken).toHaveLength(taken + 10);
  });

  it("holds a newer version on the ladder, without parking it", async () => {
    const parked = await broker.depth("emailer.parked");

    broker.channel.publish("emails", "", Buffer.from(JSON.stringify(good)), {
      ...ours(),
      type: "email.v2",
    });

    await waitFor(
      "it is held",
      async () => (await system.services.emailer.metric("wellsent_emailer_held_total")) >= 2,
    );
    expect(await broker.depth("emailer.parked")).toBe(parked);
    expect(system.services.emailer.output()).toContain("held on the ladder");
  });

  it("takes what only brokers write out of a message, and goes on to retry others", async () => {
    const forged = { "x-death": [{ count: "a", reason: "rejected", queue: "emailer" }] };

    broker.channel.publish(
      "emails",
      "",
      Buffer.from(JSON.stringify({ ...good, toaddr: "later1@example.com" })),
      { ...ours(), headers: forged },
    );
    broker.channel.publish(
      "emails",
      "",
      Buffer.from(JSON.stringify({ ...good, toaddr: "later2@example.com" })),
      ours(),
    );

    const sent = await waitFor("both, at the second attempt", () => {
      const lines = system
        .audit()
        .filter((line) => line.kind === "email.sent" && line.recipient?.startsWith("later"));
      return lines.length === 2 ? lines : undefined;
    });
    expect(sent.map((line) => line.attempt)).toEqual([2, 2]);
  });

  it("parks an outcome that cannot be read, for the logger", async () => {
    broker.channel.publish("outcomes", "email.sent", Buffer.from("garbage"), {
      type: "outcome.v1",
      persistent: true,
    });

    const depth = await waitFor("it is parked", () => broker.depth("logger.parked"));
    expect(depth).toBe(1);
  });

  it("adopts a message without an id: one mail, one record, one id", async () => {
    const email = { toaddr: "foreign@example.com", subject: "Bare", body: "Bare" };

    broker.channel.publish("emails", "", Buffer.from(JSON.stringify(email)));

    const [accepted] = await waitFor("its record", () => {
      const lines = system
        .audit()
        .filter((line) => line.recipient === "foreign@example.com" && line.kind === "email.sent");
      return lines.length > 0 ? lines : undefined;
    });
    const lines = system.audit().filter((line) => line.recipient === "foreign@example.com");
    expect(lines.map((line) => line.kind).sort()).toEqual(["email.accepted", "email.sent"]);
    expect(new Set(lines.map((line) => line.id))).toEqual(new Set([accepted?.id]));
    expect(system.sink.taken.filter((mail) => mail.to === "foreign@example.com")).toHaveLength(1);
  });
});
