import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { probe, waitFor } from "@wellsent/testing";
import { allReady, sendMany, startSystem, type System } from "../support/system.ts";

let system: System;

beforeAll(async () => {
  system = await startSystem({
    rule: (address) => (address === "killer@example.com" ? "stall" : undefined),
  });
  await allReady(system);
});

afterAll(() => system.stop());

describe("a message that nobody survives", () => {
  it.each(["emailer", "emailer.attempt.2"])(
    "is parked when consumers of %s died with it 50 times; 100 behind it are sent",
    async (queue) => {
      await system.services.emailer.end("SIGTERM");
      const before = system.sink.taken.length;
      const { id } = await system.send({
        toaddr: "poison@example.com",
        subject: "Poison",
        body: "Poison",
      });
      if (queue !== "emailer") await moveTo(queue);
      for (let death = 0; death < 50; death += 1) await dieWith(queue);
      const healthy = await sendMany(system, 100, 8);

      await system.restart("emailer");

      const [parked] = await system.audited("email.parked", queue === "emailer" ? 1 : 2);
      expect(parked).toMatchObject({ reason: "CRASHED" });
      const ids = new Set(healthy.map((answer) => answer.id));
      await waitFor(
        "100 sent",
        () =>
          system.audit().filter((line) => line.kind === "email.sent" && ids.has(line.id)).length ===
          100,
      );
      expect(system.sink.taken.length - before).toBe(100);
      expect(system.sink.taken.map((mail) => mail.messageId)).not.toContain(id);
    },
  );

  it("takes none of those with it that are in flight beside it", async () => {
    let kills = 0;
    const before = system.audit().filter((line) => line.kind === "email.parked").length;
    const sent = () =>
      system
        .audit()
        .filter((line) => line.kind === "email.sent" && line.recipient?.startsWith("user7")).length;
    const poison = await system.send({
      toaddr: "killer@example.com",
      subject: "Killer",
      body: "Killer",
    });
    const emails = Array.from({ length: 40 }, (_, number) => ({
      toaddr: `user7${number}@example.com`,
      subject: "s",
      body: "b",
    }));
    await Promise.all(emails.map((email) => system.send(email)));

    while (
      kills < 60 &&
      system.audit().filter((line) => line.kind === "email.parked").length === before
    ) {
      await waitFor(
        "the killer is being sent, or parked",
        () => system.sink.offered.delete("killer@example.com") || parkedNow() > before,
        60_000,
      );
      if (parkedNow() > before) break;
      await system.services.emailer.end("SIGKILL");
      await system.restart("emailer");
      kills += 1;
    }

    expect(
      system
        .audit()
        .filter((line) => line.kind === "email.parked")
        .at(-1),
    ).toMatchObject({ id: poison.id, reason: "CRASHED" });
    expect(kills).toBe(20);
    await waitFor("all others sent", () => sent() >= 40);
    // Before each of the twenty crashes, the emailer waits longer than a lease is valid.
  }, 300_000);
});

const parkedNow = () => system.audit().filter((line) => line.kind === "email.parked").length;

/** Takes one message and drops the connection, as a process that is killed does. */
async function dieWith(queue: string): Promise<void> {
  const { model, channel } = await probe(system.amqp);
  await channel.prefetch(1);
  await new Promise<void>((resolve) => {
    void channel.consume(queue, () => resolve());
  });
  const { stream } = model.connection as unknown as { stream: { destroy(error: Error): void } };
  const closed = new Promise<void>((resolve) => model.once("close", () => resolve()));
  stream.destroy(new Error("killed"));
  await closed;
}

/** Rejects a message down the ladder until it arrives at a queue. */
async function moveTo(queue: string): Promise<void> {
  const broker = await probe(system.amqp);
  for (const from of ["emailer", "emailer.attempt.1"]) {
    const message = await waitFor(
      `a message in ${from}`,
      async () => (await broker.channel.get(from)) || undefined,
    );
    broker.channel.reject(message, false);
  }
  await waitFor(`it is in ${queue}`, async () => (await broker.depth(queue)) === 1);
  await broker.close();
}
