import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { declare } from "@wellsent/amqp";
import { topology } from "@wellsent/contract";
import {
  createFakeLog,
  createVhost,
  deleteVhost,
  type Probe,
  probe,
  waitFor,
} from "@wellsent/testing";
import type { Decide } from "../src/parked/decide.ts";
import { createPasses } from "../src/parked/pass.ts";

let vhost: string;
let broker: Probe;
let logger: Probe;
/** Queries that nobody is to answer. */
let unanswered: number;

beforeEach(async () => {
  vhost = await createVhost();
  [broker, logger] = [await probe(vhost), await probe(vhost)];
  await declare(broker.channel, topology());
  unanswered = 0;
  await logger.channel.consume("logger", (query) => {
    if (!query) return;
    logger.channel.ack(query);
    if ((unanswered -= 1) < 0) {
      logger.channel.sendToQueue(String(query.properties.replyTo), Buffer.from("{}"));
    }
  });
});

afterEach(async () => {
  await broker.close();
  await logger.close();
  await deleteVhost(vhost);
});

describe("createPasses", () => {
  it("goes over what is there, once each, and over nothing that is parked meanwhile", async () => {
    await park("a", "b", "c");
    const decided: string[] = [];

    const { progress } = await pass(async (_, { properties: { messageId } }) => {
      decided.push(String(messageId));
      await park(`${String(messageId)} again`);
      return "done";
    });

    expect(progress).toEqual({
      action: "replay",
      state: "done",
      of: 3,
      done: 3,
      settled: 0,
      left: 0,
    });
    expect(decided).toEqual(["a", "b", "c"]);
    await rest(3);
  });

  it("leaves what is not selected, however often it goes by", async () => {
    await park(...Array.from({ length: 250 }, (_, number) => String(number)));

    for (let times = 0; times < 4; times += 1) {
      const { progress } = await pass(
        () => Promise.resolve("done"),
        () => false,
      );
      expect(progress).toMatchObject({ state: "done", of: 250, done: 0, left: 250 });
    }

    await rest(250);
  });

  it("decides once over twins", async () => {
    await park("a", "b", "a");
    const decided: string[] = [];

    const { progress } = await pass((_, { properties: { messageId } }) => {
      decided.push(String(messageId));
      return Promise.resolve("done");
    });

    expect(progress).toMatchObject({ of: 3, done: 2, settled: 1 });
    expect(decided).toEqual(["a", "b"]);
    await rest(0);
  });

  it("knows what another pass had in its hands when it died", async () => {
    await park("a", "b");
    const dying = await probe(vhost);
    await dying.channel.get("emailer.parked");
    await dying.close();

    const doubts: [string, boolean][] = [];
    await pass((_, { properties: { messageId }, doubtful }) => {
      doubts.push([String(messageId), doubtful]);
      return Promise.resolve("done");
    });

    expect(doubts).toEqual([
      ["a", true],
      ["b", false],
    ]);
  });

  it("asks again when nobody answered whether the record has everything", async () => {
    unanswered = 1;
    await park("a");

    expect((await pass(() => Promise.resolve("done"))).progress).toMatchObject({ done: 1 });
  });

  it.each<[string, Decide]>([
    ["its channel is lost", async () => broker.channel.close().then(() => "done")],
    ["the ledger breaks", () => Promise.reject(new Error("broken"))],
  ])("fails when %s, and what it had in its hands goes back", async (_, decide) => {
    await park(...Array.from({ length: 150 }, (__, number) => String(number)));

    const { progress } = await pass(decide);

    expect(progress).toMatchObject({ state: "failed", done: 0, error: expect.any(String) });
    await rest(150);
  });
});

/** Makes a pass to its end. */
async function pass(decide: Decide, selects: (id: string) => boolean = () => true) {
  const { channel } = broker;
  const release = () => channel.close().catch(() => undefined);
  const passes = createPasses({ publisher: { channel, release }, decide, log: createFakeLog() });
  passes.begin("replay", selects);
  await waitFor("the pass", () => passes.progress()?.state !== "running");
  return { progress: passes.progress() };
}

async function park(...ids: string[]): Promise<void> {
  for (const messageId of ids) {
    logger.channel.sendToQueue("emailer.parked", Buffer.from("{}"), {
      messageId,
      persistent: true,
    });
  }
  await logger.channel.waitForConfirms();
}

/** Waits until so many rest, and for long enough that no other comes. */
async function rest(count: number): Promise<void> {
  const depth = () => logger.depth("emailer.parked");
  await waitFor(`${count} at rest`, async () => (await depth()) === count);
  expect(await logger.depth("emailer.parked.pass")).toBe(0);
}
