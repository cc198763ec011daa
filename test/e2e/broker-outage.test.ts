import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, startBroker, type Broker } from "../support/broker-process.ts";
import { allReady, emailNumber, startSystem, type Answer, type System } from "../support/system.ts";
import { probe, waitFor } from "@wellsent/testing";

const inDocker = process.env["BROKER_IN_DOCKER"] === "true";
const dir = mkdtempSync(join(tmpdir(), "wellsent-outage-"));
let port: number;
let broker: Broker;
let system: System;

const startOwnBroker = () => startBroker({ dir, port, inDocker });

beforeAll(async () => {
  port = await freePort();
});

afterAll(async () => {
  await system.stop();
  await broker.end();
  rmSync(dir, { recursive: true, force: true });
});

describe("services started while the broker is away", () => {
  it("wait, say so, and work when it comes", async () => {
    system = await startSystem({ amqp: `amqp://guest:guest@127.0.0.1:${port}` });
    await sleep(2_000);
    const waiting = await fetch(`${system.services.emailer.admin}/readyz`);
    expect(waiting.status).toBe(503);
    expect(await waiting.text()).toContain("broker down");
    expect(await system.send(emailNumber(0))).toMatchObject({
      status: 503,
      outcome: "not_accepted",
    });

    broker = await startOwnBroker();
    await allReady(system);

    expect(await system.send(emailNumber(1))).toMatchObject({ status: 202 });
    expect(await system.audited("email.sent", 1)).toHaveLength(1);
  });
});

describe("a broker that goes and comes back under load", () => {
  it("is answered with 503s; nothing accepted is lost and everything works within 15 s", async () => {
    const load = startLoad();
    await sleep(1_500);

    await broker.end();
    await sleep(4_000);
    expect(await liveness()).toEqual([200, 200, 200]);
    broker = await startOwnBroker();
    const back = Date.now();
    await waitFor("the first 202", async () => (await system.send(emailNumber(2))).status === 202);
    await allReady(system);
    const recoveredMs = Date.now() - back;
    const answers = await load.stop();

    expect(recoveredMs).toBeLessThan(15_000);
    expect(statusesOf(answers)).toEqual([202, 503]);
    await allTaken(answers);
    expectNoRestart();
  });
});

describe("a broker with a memory alarm under load", () => {
  it("is answered with 503s, nothing accepted is lost, and mail flows when the alarm is over", async () => {
    const load = startLoad();
    await sleep(1_000);

    await broker.ctl("set_vm_memory_high_watermark", "0.00001");
    await waitFor("AMQP_BLOCKED", async () => (await system.send(emailNumber(3))).status === 503);
    await sleep(2_000);
    expect(await liveness()).toEqual([200, 200, 200]);
    await broker.ctl("set_vm_memory_high_watermark", "0.4");
    await waitFor("the first 202", async () => (await system.send(emailNumber(4))).status === 202);
    const answers = await load.stop();

    expect(statusesOf(answers).filter((status) => status !== 503)).toEqual([202]);
    await allTaken(answers);
    expectNoRestart();
  });
});

describe("the queue emailer deleted under load", () => {
  it("is declared again by itself, and mail flows", async () => {
    const load = startLoad();
    await sleep(1_000);

    await broker.ctl("delete_queue", "emailer");
    await sleep(3_000);
    const after = await Promise.all(
      Array.from({ length: 20 }, (_, number) => system.send(emailNumber(number))),
    );
    const answers = await load.stop();

    expect(after.filter((answer) => answer.status !== 202)).toEqual([]);
    expect(statusesOf(answers).filter((status) => status !== 503)).toEqual([202]);
    await allTaken(after);
    expectNoRestart();
  });
});

describe("the binding of emails to emailer removed", () => {
  it("is there again within two seconds, though no connection was lost", async () => {
    const program = await probe(broker.url);
    await program.channel.unbindQueue("emailer", "emails", "");

    await sleep(2_000);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, number) => system.send(emailNumber(number))),
    );

    expect(statusesOf(answers)).toEqual([202]);
    await allTaken(answers);
    await program.close();
  });
});

/** Eight clients that send on and on, each again after whatever answer. */
function startLoad(): { stop: () => Promise<Answer[]> } {
  const answers: Answer[] = [];
  let going = true;
  const client = async () => {
    while (going) {
      const answer = await system.send(emailNumber(answers.length));
      answers.push(answer);
      if (answer.status !== 202) await sleep(50);
    }
  };
  const clients = Array.from({ length: 8 }, client);
  return {
    stop: async () => {
      going = false;
      await Promise.all(clients);
      return answers;
    },
  };
}

function statusesOf(answers: readonly Answer[]): number[] {
  return [...new Set(answers.map((answer) => answer.status))].sort((a, b) => a - b);
}

async function allTaken(answers: readonly Answer[]): Promise<void> {
  const accepted = answers.filter((answer) => answer.status === 202).map((answer) => answer.id);
  const missing = () => {
    const sent = new Set(
      system
        .audit()
        .filter((line) => line.kind === "email.sent")
        .map((line) => line.id),
    );
    return accepted.filter((id) => id === undefined || !sent.has(id));
  };
  await waitFor("everything accepted is sent", () => missing().length === 0, 40_000);
  const taken = new Set(system.sink.taken.map((mail) => mail.messageId));
  expect(accepted.filter((id) => !taken.has(id ?? ""))).toEqual([]);
}

async function liveness(): Promise<number[]> {
  const answers = Object.values(system.services).map(({ admin }) => fetch(`${admin}/healthz`));
  return (await Promise.all(answers)).map((answer) => answer.status);
}

function expectNoRestart(): void {
  for (const service of Object.values(system.services)) {
    expect(service.process.exitCode).toBeNull();
    expect(service.output()).not.toMatch(/"failed"|UnhandledPromise|uncaught/i);
  }
}
