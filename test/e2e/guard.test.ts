import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { probe, waitFor } from "@wellsent/testing";
import { allReady, emailNumber, startSystem, type System } from "../support/system.ts";

let system: System;
let refusals = 0;

beforeEach(async () => {
  refusals = 0;
  system = await startSystem({
    env: { GUARD_WAIT_MS: "6000" },
    rule: () => (refusals-- > 0 ? 451 : undefined),
  });
  await allReady(system);
});

afterEach(() => system.stop());

describe("a delivery that comes a second time", () => {
  it("is settled without sending by an emailer that never saw it", async () => {
    const { id } = await system.send(emailNumber(1));
    await system.audited("email.sent", 1);
    await renewEmailer();

    await handOverAgain(`${id}.0.0`);

    await suppressed();
    expect(system.sink.taken).toHaveLength(1);
  });

  it("is settled without sending also when the record of the first is still on its way", async () => {
    system.services.logger.process.kill("SIGSTOP");
    const { id } = await system.send(emailNumber(1));
    await waitFor("the mail", () => system.sink.taken.length === 1);
    await renewEmailer();

    await handOverAgain(`${id}.0.0`);
    await sleep(2_000);
    system.services.logger.process.kill("SIGCONT");

    await suppressed();
    expect(system.sink.taken).toHaveLength(1);
  });

  it("is sent and flagged when nobody can say what became of the first", async () => {
    const { id } = await system.send(emailNumber(1));
    await system.audited("email.sent", 1);
    await renewEmailer();
    await system.services.logger.end("SIGKILL");

    await handOverAgain(`${id}.0.0`);
    await waitFor("the second mail", () => system.sink.taken.length === 2, 30_000);
    await system.restart("logger");

    const lines = await system.audited("email.sent", 2);
    expect(lines.map((line) => line.possibleDuplicate)).toEqual([false, true]);
  });
});

describe("a delivery that was refused for a while", () => {
  it("is asked about, and not flagged", async () => {
    refusals = 2;

    await system.send(emailNumber(1));

    const [line] = await system.audited("email.sent", 1);
    expect(line).toMatchObject({ attempt: 3, possibleDuplicate: false });
    expect(await system.services.emailer.metric("wellsent_emailer_guard_unanswered_total")).toBe(0);
  });
});

async function renewEmailer(): Promise<void> {
  await system.services.emailer.end("SIGTERM");
  await system.restart("emailer");
  await system.services.emailer.ready();
}

/** As a broker does that loses an emailer, or an emailer that splits an email again. */
async function handOverAgain(delivery: string): Promise<void> {
  const broker = await probe(system.amqp);
  const body = Buffer.from(JSON.stringify(emailNumber(1)));
  const headers = { "x-maybe-duplicate": true };
  broker.channel.publish("emailer.entry", "emailer", body, {
    messageId: delivery,
    type: "email.v1",
    headers,
  });
  await broker.channel.waitForConfirms();
  await broker.close();
}

async function suppressed(): Promise<void> {
  const count = () =>
    system.services.emailer.metric("wellsent_emailer_duplicates_suppressed_total");
  await waitFor("the second to be settled", async () => (await count()) === 1, 15_000);
}
