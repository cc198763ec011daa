import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { declare } from "@wellsent/amqp";
import { attemptOf, attemptQueues, EMAILER_QUEUE, ladder, topology } from "@wellsent/contract";
import {
  createVhost,
  deleteVhost,
  joinTopologies,
  type Probe,
  probe,
  waitFor,
} from "@wellsent/testing";
import { takeLadder } from "../src/control/apply-ladder.ts";

let vhost: string;
let broker: Probe;
let published: number;

beforeEach(async () => {
  vhost = await createVhost();
  broker = await probe(vhost);
  published = 0;
});

afterEach(() => broker.close());
afterEach(() => deleteVhost(vhost));

describe("takeLadder", () => {
  it.each([
    ["no change", [1, 2]],
    ["a longer first wait", [3, 4]],
    ["a rung more", [1, 2, 3]],
    ["a rung less", [3]],
    ["a rung that moves up", [2, 5]],
  ])("hands a rejected message to one rung only after %s", async (_, seconds) => {
    await take([1, 2]);
    await take(seconds);

    await publishAndReject();

    expect(await arrivals()).toBe(1);
    expect(await broker.depth("emailer.ladder")).toBe(1);
  });

  it("leaves nothing behind on rungs that are no more, nor at attempts that nobody consumes", async () => {
    await take([1, 2]);
    await publishAndReject();
    await moveDown("emailer.attempt.1");
    await waitFor("one at attempt 2", async () => (await broker.depth("emailer.attempt.2")) === 1);
    await publishAndReject();

    expect(await take([3])).toEqual(["emailer.attempt.2"]);

    await moveDown("emailer.attempt.2");
    const both = async () => (await broker.depth("emailer.attempt.1")) === 2;
    await waitFor("both at the only attempt", both, 10_000);
    expect(await broker.depth("emailer.attempt.2")).toBe(0);
  });

  it("has each attempt counted once, whatever the lengths of the schedules", async () => {
    await take([1, 2]);
    publish(1);

    const attempts: number[] = [];
    for (const seconds of [[1, 2], [1, 2, 3], [1], [2], [1, 2], [1]]) {
      const left = await take(seconds);
      const queues = [EMAILER_QUEUE, ...attemptQueues(seconds.length), ...left];
      attempts.push(attemptOf(await rejectNext(queues)));
    }

    expect(attempts).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("strands none and doubles none of what moves while the schedule changes under it", async () => {
    await take([1, 2]);
    await broker.channel.consume("emailer", (message) => {
      if (message) broker.channel.reject(message, false);
    });

    // Mail keeps coming down at each moment at which an old way is gone.
    const unbind = broker.channel.unbindQueue.bind(broker.channel);
    broker.channel.unbindQueue = async (...way) => {
      const reply = await unbind(...way);
      publish(20);
      await sleep(100);
      return reply;
    };

    for (const seconds of [[2, 3], [3], [1, 3], [2], [1, 2]]) await take(seconds);

    await waitFor("all at an attempt", async () => (await total()) >= published, 20_000);
    await sleep(3_000);
    expect(published).toBeGreaterThan(0);
    expect(await total()).toBe(published);
  });
});

async function take(seconds: number[]): Promise<string[]> {
  await declare(broker.channel, joinTopologies(topology(), { ...ladder(seconds), bindings: [] }));
  return takeLadder(broker.channel, seconds);
}

/** Rejects the next message of several queues, and resolves to its headers. */
async function rejectNext(queues: string[]): Promise<{ headers: Record<string, unknown> }> {
  return waitFor("a message", async () => {
    for (const queue of queues) {
      const message = await broker.channel.get(queue);
      if (!message) continue;
      broker.channel.reject(message, false);
      return { headers: message.properties.headers ?? {} };
    }
    return undefined;
  });
}

async function publishAndReject(): Promise<void> {
  publish(1);
  await moveDown("emailer");
}

function publish(count: number): void {
  published += count;
  for (let i = 0; i < count; i++) {
    broker.channel.publish("emails", "", Buffer.from("{}"), { persistent: true });
  }
}

async function moveDown(queue: string): Promise<void> {
  const message = await waitFor(
    `a message in ${queue}`,
    async () => (await broker.channel.get(queue)) || undefined,
  );
  broker.channel.reject(message, false);
}

/** How many copies arrive at the first two attempts: waits for one, and then long enough for any other. */
async function arrivals(): Promise<number> {
  await waitFor("an arrival", async () => (await total()) > 0, 10_000);
  await sleep(2_500);
  return total();
}

/** How many messages are at the first two attempts. */
async function total(): Promise<number> {
  const depths = ["emailer.attempt.1", "emailer.attempt.2"].map((queue) => broker.depth(queue));
  return (await Promise.all(depths)).reduce((sum, depth) => sum + depth, 0);
}
