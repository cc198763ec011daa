import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@wellsent/contract";
import { probe, type SmtpSink, startSink, waitFor } from "@wellsent/testing";
import {
  allReady,
  emailNumber,
  sendMany,
  startSystem,
  twice,
  type Internal,
  type System,
} from "../support/system.ts";

let system: System;
let second: SmtpSink | undefined;
let refusing = true;

beforeEach(async () => {
  refusing = true;
  system = await startSystem({
    env: { MAX_ATTEMPTS: "1" },
    rule: () => (refusing ? 451 : undefined),
  });
  await allReady(system);
});

afterEach(async () => {
  await system.stop();
  await second?.close();
  second = undefined;
});

describe("parked mail", () => {
  it("is listed by page, reason, domain and age, and stays where it is", async () => {
    await park(30);

    const pages: Internal[] = [];
    for (let cursor: string | null = ""; cursor !== null; cursor = nextOf(pages)) {
      pages.push(
        await system.internal("GET", `/parked?limit=12&cursor=${encodeURIComponent(cursor)}`),
      );
    }
    const listed = pages.flatMap(({ body }) => body["parked"] as { delivery: string }[]);

    expect(new Set(listed.map(({ delivery }) => delivery)).size).toBe(30);
    expect(pages[0]?.body).toMatchObject({ total: 30 });
    expect(listed[0]).toMatchObject({
      reason: "ATTEMPTS_EXHAUSTED",
      reply: expect.stringContaining("451"),
    });
    const totals = [];
    for (const query of [
      "reason=CRASHED",
      "domain=example.com",
      "domain=elsewhere.example",
      "olderThan=3600",
    ]) {
      totals.push((await system.internal("GET", `/parked?${query}`)).body["total"]);
    }
    expect(totals).toEqual([0, 30, 0, 0]);
    expect(await system.services.logger.metric("wellsent_parked_deliveries")).toBe(30);
  });

  it("is replayed once each, though the logger is killed in the middle, again and again", async () => {
    const ids = await park(300);
    refusing = false;

    for (let kill = 0; kill < 3; kill += 1) {
      await system.internal("POST", "/parked/replay", { all: true });
      await sleep(120 + 80 * kill);
      await system.services.logger.end("SIGKILL");
      await system.restart("logger");
      await system.services.logger.ready();
    }
    await pass("replay", { all: true });

    await system.audited("email.sent", 300, 30_000);
    const taken = system.sink.taken.map((mail) => mail.messageId);
    expect(twice(taken)).toEqual([]);
    expect(taken.sort()).toEqual(ids.sort());
    await listed(0);
  });

  it("is still there, all of it, after passes for something else that were killed", async () => {
    await park(60);

    for (let kill = 0; kill < 4; kill += 1) {
      await system.internal("POST", "/parked/delete", { filter: { reason: "CRASHED" } });
      await sleep(50 * kill);
      await system.services.logger.end("SIGKILL");
      await system.restart("logger");
      await system.services.logger.ready();
    }

    expect(await pass("delete", { filter: { reason: "CRASHED" } })).toMatchObject({ left: 60 });
    expect(await pass("delete", { all: true })).toMatchObject({ done: 60, left: 0 });
    await listed(0);
    expect(system.audit().filter(({ kind }) => kind === "email.deleted")).toHaveLength(60);
  });

  it("is replayed one by one: the others stay", async () => {
    const [first] = await park(5);
    refusing = false;

    expect(await pass("replay", { ids: [`${String(first)}.0.0`] })).toMatchObject({
      done: 1,
      left: 4,
    });

    const [sent] = await system.audited("email.sent", 1);
    expect(sent).toMatchObject({ delivery: `${String(first)}.0.1`, possibleDuplicate: false });
    await listed(4);
    const email = await system.internal("GET", `/emails/${String(first)}`);
    expect(email.body["deliveries"]).toMatchObject([
      { delivery: `${String(first)}.0.0`, kind: "email.replayed" },
      { delivery: `${String(first)}.0.1`, kind: "email.sent" },
    ]);
    const kinds = (email.body["events"] as { kind: string }[]).map(({ kind }) => kind);
    expect(kinds).toHaveLength(5);
  });

  it("is replayed once by a pass, though the relay refuses it again", async () => {
    const [first] = await park(3);

    expect(await pass("replay", { all: true })).toMatchObject({ of: 3, done: 3, left: 0 });

    await system.audited("email.parked", 6, 30_000);
    await listed(3);
    refusing = false;
    expect(await pass("replay", { all: true })).toMatchObject({ of: 3, done: 3, left: 0 });
    const sent = await system.audited("email.sent", 3);
    expect(sent.map(({ delivery }) => delivery)).toContain(`${String(first)}.0.2`);
  });

  it("reaches every recipient of an email that killed its emailers before it was split", async () => {
    refusing = false;
    await system.services.emailer.end("SIGTERM");
    const toaddr = ["a@example.com", "b@example.com", "c@example.com"];
    const { id } = await system.send({ toaddr, subject: "s", body: "b" });
    for (let death = 0; death < 20; death += 1) {
      const dying = await probe(system.amqp);
      await waitFor("the email", async () => dying.channel.get("emailer"));
      await dying.close();
    }
    await system.restart("emailer");
    expect(await system.audited("email.parked", 1)).toMatchObject([{ id, reason: "CRASHED" }]);

    expect(await pass("replay", { all: true })).toMatchObject({ done: 1, left: 0 });

    await system.audited("email.sent", 3);
    expect(system.sink.taken.map(({ to }) => to).sort()).toEqual(toaddr);
  });

  it("is listed once, replayed or not, when it is no email, and can be deleted", async () => {
    const broker = await probe(system.amqp);
    const properties = { messageId: newId(), type: "email.v1", persistent: true };
    broker.channel.publish("emails", "", Buffer.from("no email"), properties);
    await system.audited("email.parked", 1);

    await pass("replay", { all: true });
    await system.audited("email.parked", 2);

    const { parked } = await listed(1);
    const delivery = `${properties.messageId}.0.1`;
    expect(parked).toMatchObject([{ delivery, reason: "MESSAGE_NOT_JSON" }]);
    expect(await pass("delete", { all: true })).toMatchObject({ done: 1 });
    await system.audited("email.deleted", 1);
    await listed(0);
    await broker.close();
  });

  it.each([
    ["POST", "/parked/replay", {}, 422, "REQUEST_INVALID"],
    ["POST", "/parked/replay", { ids: ["nonsense"] }, 422, "REQUEST_INVALID"],
    ["GET", "/parked?limit=0", undefined, 422, "REQUEST_INVALID"],
    ["GET", "/nowhere", undefined, 404, "ROUTE_UNKNOWN"],
    ["GET", "/emails/0199c0de-0000-7000-8000-000000000001", undefined, 404, "EMAIL_UNKNOWN"],
  ] as const)("answers %s %s %j with %d %s", async (method, path, body, status, code) => {
    expect(await system.internal(method, path, body)).toMatchObject({ status, body: { code } });
  });

  it("takes one pass at a time, and nobody without the token", async () => {
    await park(20);
    const begun = await Promise.all([
      system.internal("POST", "/parked/replay", { filter: { reason: "CRASHED" } }),
      system.internal("POST", "/parked/replay", { filter: { reason: "CRASHED" } }),
    ]);
    const port = await system.services.logger.port("internal port listens");
    const response = await fetch(`http://127.0.0.1:${port}/parked`);

    expect(begun.map(({ status }) => status).sort()).toEqual([202, 409]);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code: "TOKEN_INVALID" });
  });
});

describe("an operator's pause", () => {
  const isSaid = (text: string) =>
    waitFor(text, async () =>
      (await (await fetch(`${system.services.emailer.admin}/readyz`)).text()).includes(text),
    );

  it("keeps mails that wait for a relay's rate, and sends each once afterwards", async () => {
    refusing = false;
    await system.services.emailer.end("SIGTERM");
    await system.restart("emailer", { SMTP_URLS: `${system.sink.url}?rate=1` });
    await sendMany(system, 20, 8);
    await waitFor("the first", () => system.sink.taken.length);

    await system.internal("POST", "/pause");
    await isSaid("paused by an operator");
    const { size } = system.sink.offered;
    await sleep(3_000);

    expect(system.sink.offered.size).toBe(size);
    expect(size).toBeLessThan(10);
    await system.services.emailer.end("SIGTERM");
    await system.restart("emailer", { SMTP_URLS: system.sink.url });
    await system.internal("POST", "/resume");
    await system.audited("email.sent", 20);
    expect(twice(system.sink.taken.map(({ messageId }) => messageId))).toEqual([]);
  });

  it("keeps mails that wait for a relay, and sends nothing when the relay is back", async () => {
    refusing = false;
    await system.sink.close();
    await sendMany(system, 10, 8);
    await isSaid("relay");

    await system.internal("POST", "/pause");
    await isSaid("paused by an operator");
    const back = (second = await startSink({ port: system.sink.port }));
    await waitFor("the relay's circuit", async () => {
      const readiness = await fetch(`${system.services.emailer.admin}/readyz`);
      return !(await readiness.text()).includes("relay");
    });
    await sleep(1_000);

    expect([...back.offered]).toEqual([]);
    await system.internal("POST", "/resume");
    await system.audited("email.sent", 10);
    expect(twice(back.taken.map(({ messageId }) => messageId))).toEqual([]);
  });

  it("stops sending, outlives restarts, and lets go", async () => {
    refusing = false;
    expect((await system.internal("POST", "/pause")).body).toEqual({ paused: true });
    const paused = async (count: number) =>
      waitFor(
        "the brake",
        async () => (await system.services.emailer.metric("wellsent_paused")) === count,
      );
    await paused(1);

    await system.send(emailNumber(1));
    await system.services.emailer.end("SIGTERM");
    await system.restart("emailer");
    await paused(1);
    await sleep(1_000);

    expect(system.sink.taken).toEqual([]);
    const readiness = await fetch(`${system.services.emailer.admin}/readyz`);
    expect(readiness.status).toBe(200);
    expect(await readiness.json()).toMatchObject({ reasons: ["paused by an operator"] });
    await system.internal("POST", "/resume");
    await system.audited("email.sent", 1);
    expect((await system.internal("GET", "/pause")).body).toEqual({ paused: false });
  });
});

/** Sends so many and waits until each is parked; resolves to the ids of the emails. */
async function park(count: number): Promise<string[]> {
  const answers = await sendMany(system, count, 8);
  await system.audited("email.parked", count, 30_000);
  await listed(count);
  return answers.map(({ id }) => String(id));
}

/** Waits until so many are listed and resolves to the list: what it is read from follows the audit log. */
function listed(count: number): Promise<Internal["body"]> {
  return waitFor(`a list of ${count}`, async () => {
    const { body } = await system.internal("GET", "/parked");
    return body["total"] === count ? body : undefined;
  });
}

/** Where the list goes on after its last page, or null. */
function nextOf(pages: readonly Internal[]): string | null {
  return pages.at(-1)?.body["next"] as string | null;
}

/** Makes a pass and resolves to its end. */
async function pass(action: string, selection: object): Promise<unknown> {
  expect(await system.internal("POST", `/parked/${action}`, selection)).toMatchObject({
    status: 202,
  });
  const progress = async () => (await system.internal("GET", "/parked/pass")).body;
  return waitFor(
    "the pass",
    async () => {
      const now = await progress();
      return now["state"] === "running" ? undefined : now;
    },
    30_000,
  );
}
