import { afterEach, describe, expect, it } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { probe, type SmtpSink, startSink, waitFor } from "@wellsent/testing";
import { allReady, sendMany, startSystem, twice, type System } from "../support/system.ts";

let system: System;
let second: SmtpSink | undefined;

afterEach(async () => {
  await system.stop();
  await second?.close();
  second = undefined;
});

describe("a relay that is down", () => {
  it("consumes no attempt and parks nothing; mail flows within 10 s after it is back", async () => {
    system = await startSystem();
    await allReady(system);
    await system.sink.close();

    await sendMany(system, 2_000, 8);
    await waitFor("the reason", async () =>
      (await (await fetch(`${system.services.emailer.admin}/readyz`)).text()).includes("relay"),
    );
    await sleep(3_000);
    expect((await fetch(`${system.services.emailer.admin}/readyz`)).status).toBe(200);
    second = await startSink({ port: system.sink.port });
    const back = Date.now();
    const { taken } = second;
    await waitFor("the first mail", () => taken.length > 0);
    expect(Date.now() - back).toBeLessThan(10_000);
    const sent = await system.audited("email.sent", 2_000, 60_000);

    expect(sent.filter((line) => line.attempt !== 1)).toEqual([]);
    expect(
      system.audit().filter((line) => ["email.deferred", "email.parked"].includes(line.kind)),
    ).toEqual([]);
    expect(twice(taken.map((mail) => mail.messageId))).toEqual([]);
  });

  it("lets the emailer stop at once, with everything back in the broker", async () => {
    system = await startSystem();
    await allReady(system);
    await system.sink.close();
    await sendMany(system, 50, 8);
    await waitFor("the reason", async () =>
      (await (await fetch(`${system.services.emailer.admin}/readyz`)).text()).includes("relay"),
    );

    const began = Date.now();
    expect(await system.services.emailer.end("SIGTERM")).toBe(0);

    expect(Date.now() - began).toBeLessThan(5_000);
    const broker = await probe(system.amqp);
    await waitFor("all 50 in the queue", async () => (await broker.depth("emailer")) === 50);
    await broker.close();
  });
});
