import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { ConfirmChannel } from "amqplib";
import { createVhost, deleteVhost, type Probe, probe, waitFor } from "@wellsent/testing";
import { Session, type SessionOptions } from "../src/session.ts";
import type { Topology } from "../src/declare.ts";
import { ConfigError } from "@wellsent/runtime";
import { NOTHING, queues, Rig } from "./rig.ts";
import { startProxy } from "./proxy.ts";

let url: string;
let broker: Probe;
let rig: Rig;

beforeAll(async () => {
  url = await createVhost();
  broker = await probe(url);
});
afterAll(async () => {
  await broker.close();
  await deleteVhost(url);
});
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

interface TestOptions extends SessionOptions {
  onBuild: (channel: ConfirmChannel) => Promise<void> | void;
  everyMs: number | undefined;
}

class TestSession extends Session<TestOptions> {
  readonly name = "test";
  protected override readonly rebuildMs = this.options.everyMs;

  protected build(channel: ConfirmChannel) {
    return this.options.onBuild(channel);
  }
}

async function startSession(
  topology: Topology,
  onBuild: TestOptions["onBuild"] = () => undefined,
  through = url,
  everyMs?: number,
): Promise<TestSession> {
  const connection = await rig.connect(through);
  const session = new TestSession({ connection, topology, onBuild, everyMs, ...rig.common });
  rig.adopt(session);
  session.start();
  return session;
}

const channelOf = (session: TestSession) => waitFor("a channel", () => session.channel);

describe("Session", () => {
  it("declares its topology before its channel is available", async () => {
    const session = await startSession(queues("declared"));

    await channelOf(session);

    expect(await broker.depth("declared")).toBe(0);
  });

  it("declares existing exchanges and queues again", async () => {
    await channelOf(await startSession(queues("twice")));

    await channelOf(await startSession(queues("twice")));

    expect(rig.failures).toStrictEqual([]);
  });

  it.each([
    [
      "a queue has other arguments",
      {
        ...NOTHING,
        queues: [
          { name: "mismatch", arguments: { "x-queue-type": "quorum", "x-delivery-limit": 7 } },
        ],
      },
    ],
    [
      "a queue is of another type",
      { ...NOTHING, queues: [{ name: "mismatch", arguments: { "x-queue-type": "classic" } }] },
    ],
    [
      "an exchange is of another type",
      { ...NOTHING, exchanges: [{ name: "amq.topic", type: "fanout" as const, durable: true }] },
    ],
  ])("fails with a ConfigError and gives up when %s", async (_, topology) => {
    await channelOf(await startSession(queues("mismatch")));

    const session = await startSession(topology);

    await waitFor("a failure", () => rig.failures.length > 0);
    await session.stop();
    expect(rig.failures).toHaveLength(1);
    expect(rig.failures[0]).toBeInstanceOf(ConfigError);
    expect(rig.failures[0]).toMatchObject({
      code: "AMQP_TOPOLOGY_MISMATCH",
      message: expect.stringMatching(/mismatch|amq\.topic/),
    });
    expect(session.channel).toBeUndefined();
  });

  it("retries when the broker refuses access, and does not fail", async () => {
    const forbidden = { name: "amq.forbidden", type: "fanout" as const, durable: true };
    const session = await startSession({ ...NOTHING, exchanges: [forbidden] });

    const refusals = () => rig.log.lines.filter(({ code }) => code === "403");
    await waitFor("two refusals", () => refusals().length >= 2);

    expect(rig.failures).toStrictEqual([]);
    expect(session.channel).toBeUndefined();
  });

  it("builds a new channel, with all of its topology, when the broker has closed the old one", async () => {
    const session = await startSession(queues("closed"));
    const old = await channelOf(session);
    await broker.channel.deleteQueue("closed");

    await expect(old.checkQueue("closed")).rejects.toMatchObject({ code: 404 });

    await waitFor(
      "another channel",
      () => session.channel !== undefined && session.channel !== old,
    );
    expect(await broker.depth("closed")).toBe(0);
  });

  it("builds a new channel after release", async () => {
    const session = await startSession(NOTHING);
    const old = await channelOf(session);

    await session.release();

    await waitFor(
      "another channel",
      () => session.channel !== undefined && session.channel !== old,
    );
    expect(() => old.publish("", "x", Buffer.alloc(0))).toThrow("Channel closed");
  });

  it("retries with growing pauses while the channel cannot be built", async () => {
    const tries: number[] = [];
    const session = await startSession(NOTHING, () => {
      tries.push(Date.now());
      if (tries.length < 4) throw new Error("secret");
    });

    await channelOf(session);

    expect(tries).toHaveLength(4);
    const [first = 0, second = 0, third = 0, fourth = 0] = tries;
    expect(fourth - third).toBeGreaterThan(second - first);
    expect(JSON.stringify(rig.log.lines)).not.toContain("secret");
  });

  it("repeats the build on its channel, and builds another channel when that fails", async () => {
    const built: ConfirmChannel[] = [];
    await startSession(
      NOTHING,
      (channel) => {
        built.push(channel);
        if (built.length === 3) throw new Error("looked in vain");
      },
      url,
      10,
    );

    await waitFor("a build on another channel", () => new Set(built).size === 2);

    expect(built.slice(0, 3)).toEqual([built[0], built[0], built[0]]);
  });

  it("stops within seconds, without a channel, while its build has no answer", async () => {
    const proxy = await startProxy(url);
    let dropped = false;
    proxy.meddle((method) => {
      if (method !== "queue.declare-ok") return "pass";
      dropped = true;
      return "drop";
    });
    const session = await startSession(queues("unanswered"), undefined, proxy.url);
    await waitFor("the declare", () => dropped);

    const began = Date.now();
    await session.stop();

    expect(session.channel).toBeUndefined();
    expect(Date.now() - began).toBeLessThan(5_000);
    await proxy.close();
  });

  it("can be stopped before the first connection", async () => {
    const session = await startSession(NOTHING, undefined, "amqp://127.0.0.1:1/");

    await session.stop();

    expect(session.channel).toBeUndefined();
  });

  it("closes its channel when it stops, and builds no other", async () => {
    const builds: ConfirmChannel[] = [];
    const session = await startSession(NOTHING, (channel) => {
      builds.push(channel);
    });
    const channel = await channelOf(session);

    await session.stop();

    expect(() => channel.publish("", "x", Buffer.alloc(0))).toThrow("Channel closed");
    expect(builds).toHaveLength(1);
    expect(session.channel).toBeUndefined();
  });
});
