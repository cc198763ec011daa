import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { GetMessage } from "amqplib";
import {
  createVhost,
  deleteVhost,
  joinTopologies,
  type Probe,
  probe,
  waitFor,
} from "@wellsent/testing";
import { declare } from "../../amqp/src/index.ts";
import { attemptOf, crashesOf, type Counted } from "../src/attempts.ts";
import { ladder } from "../src/ladder.ts";
import { topology } from "../src/topology.ts";

const RUNGS = [1, 2];

let url: string;
let broker: Probe;

beforeAll(async () => {
  url = await createVhost();
  broker = await probe(url);
});
afterAll(async () => {
  await broker.close();
  await deleteVhost(url);
});
beforeEach(async () => {
  await declare(broker.channel, joinTopologies(topology(), ladder(RUNGS)));
});

async function accept(headers: Record<string, unknown> = {}): Promise<void> {
  broker.channel.publish("emails", "", Buffer.from("{}"), { persistent: true, headers });
  await broker.channel.waitForConfirms();
}

/** The next message of a queue, unsettled, through a channel of its own if one is given. */
async function take(queue: string, { channel } = broker): Promise<GetMessage> {
  return waitFor(`a message in ${queue}`, async () => (await channel.get(queue)) || undefined);
}

async function takeAndReject(queue: string): Promise<Counted> {
  const message = await take(queue);
  broker.channel.reject(message, false);
  return counted(message);
}

async function takeAndAck(queue: string): Promise<Counted> {
  const message = await take(queue);
  broker.channel.ack(message);
  return counted(message);
}

/** Takes a message, and disconnects without settling it. */
async function crash(queue: string): Promise<void> {
  const program = await probe(url);
  await take(queue, program);
  await program.close();
}

function counted({ properties }: GetMessage): Counted {
  const { version } = broker.model.connection.serverProperties;
  return { headers: properties.headers ?? {}, brokerVersion: version };
}

describe("the ladder", () => {
  it("moves a rejected message emailer, attempt 1, attempt 2, attempt 2, and counts 1, 2, 3, 4", async () => {
    await accept();

    const steps = [
      await takeAndReject("emailer"),
      await takeAndReject("emailer.attempt.1"),
      await takeAndReject("emailer.attempt.2"),
      await takeAndAck("emailer.attempt.2"),
    ];

    expect(steps.map((step) => attemptOf(step))).toStrictEqual([1, 2, 3, 4]);
    expect(steps.map(crashesOf)).toStrictEqual([0, 0, 0, 0]);
  });

  it("waits as long as the rung says", async () => {
    await accept();
    await takeAndReject("emailer");
    const rejected = Date.now();

    await takeAndAck("emailer.attempt.1");

    expect(Date.now() - rejected).toBeGreaterThanOrEqual(950);
    expect(Date.now() - rejected).toBeLessThan(2_500);
  });

  it("counts lost connections as crashes, on the first attempt and on the last rung, and no attempt", async () => {
    await accept();
    await crash("emailer");
    await crash("emailer");
    const first = await takeAndReject("emailer");
    await takeAndReject("emailer.attempt.1");
    await crash("emailer.attempt.2");
    const third = await takeAndReject("emailer.attempt.2");
    const fourth = await takeAndAck("emailer.attempt.2");

    expect([first, third, fourth].map((step) => attemptOf(step))).toStrictEqual([1, 3, 4]);
    // Before 4.0 each queue counts crashes from 0. From 4.0 on the count stays with the message.
    const carried = Number.parseInt(first.brokerVersion) >= 4;
    expect([first, third, fourth].map(crashesOf)).toStrictEqual(carried ? [2, 3, 3] : [2, 1, 0]);
  });

  it("keeps a message that was taken and lost 25 times, which the broker's default would not", async () => {
    await accept();

    for (let times = 0; times < 25; times++) {
      const message = await take("emailer");
      broker.channel.reject(message, true);
    }

    expect(crashesOf(await takeAndAck("emailer"))).toBe(25);
  });

  it("counts from the first attempt for a message that a program published with its own counts", async () => {
    await accept({ "x-delivery-count": "many" });

    const steps = [await takeAndReject("emailer"), await takeAndAck("emailer.attempt.1")];

    expect(steps.map((step) => attemptOf(step))).toStrictEqual([1, 2]);
    expect(steps.map(crashesOf)).toStrictEqual([0, 0]);
  });

  it("gives logger its own copy, which the ladder does not touch", async () => {
    await broker.channel.purgeQueue("logger");
    await accept();
    await takeAndReject("emailer");
    await takeAndAck("emailer.attempt.1");

    expect(attemptOf(await takeAndAck("logger"))).toBe(1);
    expect(await broker.depth("logger")).toBe(0);
  });
});

describe("the ladder with another schedule", () => {
  it("takes over what waits on the rungs of the schedule before", async () => {
    await accept();
    await takeAndReject("emailer");

    await declare(broker.channel, joinTopologies(topology(), ladder([3, 2])));

    expect(attemptOf(await takeAndAck("emailer.attempt.1"))).toBe(2);
  });
});

describe("parked mail", () => {
  it("comes back a second after a pass has rejected it, 25 times if need be", async () => {
    broker.channel.sendToQueue("emailer.parked", Buffer.from("{}"), { persistent: true });
    for (let looks = 0; looks < 25; looks++) {
      broker.channel.reject(await take("emailer.parked"), true);
    }

    await takeAndReject("emailer.parked");
    const [death] = (await takeAndAck("emailer.parked")).headers["x-death"] as { queue: string }[];

    expect(death?.queue).toBe("emailer.parked.pass");
  });
});

describe("the article's exchange", () => {
  it("gets every email once, and hands every email of its own to emailer and logger once", async () => {
    await declare(broker.channel, topology("logs"));
    const { queue } = await broker.channel.assertQueue("", { exclusive: true });
    await broker.channel.bindQueue(queue, "logs", "");
    await broker.channel.purgeQueue("logger");

    await accept();
    broker.channel.publish("logs", "", Buffer.from("{}"));
    await broker.channel.waitForConfirms();

    const depths = async () =>
      Promise.all(["emailer", "logger", queue].map((name) => broker.depth(name)));
    expect(
      await waitFor("all copies", async () => (await depths()).every(Boolean) && depths()),
    ).toStrictEqual([2, 2, 2]);
    await broker.channel.purgeQueue("emailer");
  });
});
