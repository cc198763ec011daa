import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { probe, type Probe, waitFor } from "@wellsent/testing";
import { allReady, startSystem, type System } from "../support/system.ts";

let system: System;
let program: Probe;
const received: { toaddr: string; subject: string; body: string }[] = [];

beforeAll(async () => {
  system = await startSystem({ env: { ARTICLE_EXCHANGE: "logs" } });
  await allReady(system);
  program = await probe(system.amqp);
  await program.channel.assertExchange("logs", "fanout", { durable: false });
  const { queue } = await program.channel.assertQueue("", { exclusive: true });
  await program.channel.bindQueue(queue, "logs", "");
  const take = (message: { content: Buffer } | null) =>
    message && received.push(JSON.parse(message.content.toString()) as (typeof received)[number]);
  await program.channel.consume(queue, take, { noAck: true });
});

afterAll(async () => {
  await program.close();
  await system.stop();
});

describe("the article's programs, with ARTICLE_EXCHANGE=logs", () => {
  it("their consumer reads what the API accepts, once", async () => {
    await system.send({ toaddr: "reader@example.com", subject: "Hello", body: "To the consumer" });

    await system.audited("email.sent", 1);
    expect(received).toEqual([
      { toaddr: "reader@example.com", subject: "Hello", body: "To the consumer" },
    ]);
    expect(system.sink.taken).toHaveLength(1);
  });

  it("what their producer publishes is sent once and recorded once, under one id", async () => {
    const email = { toaddr: "producer@example.com", subject: "Bare", body: "No properties" };

    program.channel.publish("logs", "", Buffer.from(JSON.stringify(email)));

    await system.audited("email.sent", 2);
    const lines = await waitFor("both lines", () => {
      const found = system.audit().filter((line) => line.recipient === email.toaddr);
      return found.length === 2 ? found : undefined;
    });
    expect(new Set(lines.map((line) => line.id)).size).toBe(1);
    expect(lines.map((line) => line.kind).sort()).toEqual(["email.accepted", "email.sent"]);
    expect(system.sink.taken.filter((mail) => mail.to === email.toaddr)).toHaveLength(1);
    expect(received.filter((message) => message.toaddr === email.toaddr)).toEqual([email]);
  });
});
