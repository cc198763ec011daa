import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createVhost, deleteVhost, joinTopologies, probe } from "@wellsent/testing";
import { declare } from "../../amqp/src/index.ts";
import { DEFAULT_LADDER, ladder } from "../src/ladder.ts";
import { topology } from "../src/topology.ts";

let url: string;

beforeAll(async () => {
  url = await createVhost();
});
afterAll(() => deleteVhost(url));

/** Runs a function with a channel of its own connection, which is closed afterwards. */
async function asProgram<T>(act: (channel: Channel) => Promise<T>): Promise<T> {
  const program = await probe(url);
  return act(program.channel).finally(() => program.close());
}

type Channel = Awaited<ReturnType<typeof probe>>["channel"];

const whole = (seconds: readonly number[] = DEFAULT_LADDER) =>
  joinTopologies(topology("logs"), ladder(seconds));

describe("topology and ladder on a broker", () => {
  it("can be declared twice", async () => {
    await asProgram((channel) => declare(channel, whole()));

    await expect(asProgram((channel) => declare(channel, whole()))).resolves.toBeUndefined();
  });

  it("create all exchanges and queues", async () => {
    await asProgram((channel) => declare(channel, whole()));

    const { exchanges, queues } = whole();
    const found = await asProgram(async (channel) => {
      for (const { name } of exchanges) await channel.checkExchange(name);
      return Promise.all(queues.map(({ name }) => channel.checkQueue(name)));
    });

    expect(found.map(({ queue }) => queue)).toStrictEqual(queues.map(({ name }) => name));
  });

  it("can be declared with another schedule beside the first", async () => {
    await asProgram((channel) => declare(channel, whole()));

    const declaring = asProgram((channel) => declare(channel, whole([30, 60, 600])));

    await expect(declaring).resolves.toBeUndefined();
  });

  it("are refused with 406 where a queue of the same name has other arguments", async () => {
    await asProgram((channel) => declare(channel, whole()));
    const [emailer] = topology().queues;
    const other = { "x-queue-type": "quorum", "x-delivery-limit": 20 };

    const declaring = asProgram((channel) =>
      channel.assertQueue(emailer?.name ?? "", { arguments: other }),
    );

    await expect(declaring).rejects.toMatchObject({ code: 406 });
  });

  it("are declared again after a broker restart has deleted the article's transient exchange", async () => {
    await asProgram((channel) => declare(channel, whole()));
    await asProgram((channel) => channel.deleteExchange("logs"));

    await asProgram((channel) => declare(channel, whole()));

    const bound = await asProgram(async (channel) => {
      channel.publish("logs", "", Buffer.from("{}"), { mandatory: true });
      await channel.waitForConfirms();
      return channel.checkQueue("emailer");
    });
    expect(bound.messageCount).toBe(1);
  });
});
