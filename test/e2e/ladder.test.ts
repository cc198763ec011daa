import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { probe, waitFor } from "@wellsent/testing";
import {
  allReady,
  emailNumber,
  sendMany,
  startSystem,
  twice,
  type System,
} from "../support/system.ts";

const WAITS = ["1s", "2s", "3s", "4s"].map((wait) => `emailer.wait.${wait}`);
let system: System;
let attempts = 0;
/** How often each recipient was named to the relay. */
const asked = new Map<string, number>();
let refusing = true;

beforeEach(async () => {
  refusing = true;
  attempts = 0;
  asked.clear();
  system = await startSystem({
    env: { RETRY_LADDER: "1s,2s", MAX_ATTEMPTS: "4" },
    rule: (address) => {
      asked.set(address, (asked.get(address) ?? 0) + 1);
      return refusing ? [451, `4.3.0 not now, asked ${(attempts += 1)} times`] : undefined;
    },
  });
  await allReady(system);
});

afterEach(() => system.stop());

describe("a delivery that is refused for a while", () => {
  it("is tried again after each rung's time, the last one's repeatedly, and parked with the last reply", async () => {
    const { id } = await system.send(emailNumber(1));
    const others = await sendMany(system, 30, 8, (number) => emailNumber(number + 2));

    await system.audited("email.parked", 31, 60_000);

    for (const each of [id, ...others.map((answer) => answer.id)]) {
      const trail = system.audit().filter((line) => line.id === each && line.attempt);
      expect(trail.map(({ kind, attempt }) => [kind, attempt])).toEqual([
        ["email.deferred", 1],
        ["email.deferred", 2],
        ["email.deferred", 3],
        ["email.parked", 4],
      ]);
      // How much later they come depends on the machine: test/bench/ladder.ts measures that.
      const [one = 0, two = 0, three = 0, four = 0] = trail.map(({ time }) => Date.parse(time));
      expect(two - one).toBeGreaterThanOrEqual(1_000);
      expect(three - two).toBeGreaterThanOrEqual(2_000);
      expect(four - three).toBeGreaterThanOrEqual(2_000);
      const asked = trail.map(({ reply }) => Number(/asked (\d+)/.exec(reply ?? "")?.[1]));
      expect(trail.at(-1)).toMatchObject({ reason: "ATTEMPTS_EXHAUSTED" });
      expect(asked).toEqual(asked.toSorted((one, other) => one - other));
    }
  });

  it("is parked and never sent once its time is over, though the relay takes it again", async () => {
    const expiresAt = new Date(Date.now() + 2_000).toISOString();
    const { id } = await system.send({ ...emailNumber(1), expiresAt });
    await system.audited("email.deferred", 2);
    await waitFor("its end", () => Date.now() > Date.parse(expiresAt));
    refusing = false;

    const [parked] = await system.audited("email.parked", 1);
    await system.send(emailNumber(2));
    await system.audited("email.sent", 1);

    expect(parked).toMatchObject({ id, reason: "EXPIRED", attempt: 3 });
    expect(system.sink.taken.map(({ to }) => to)).toEqual(["user2@example.com"]);
  });
});

describe("another schedule", () => {
  it("takes over all that waits on the rungs before, makes every attempt, and sends each once", async () => {
    const ids: (string | undefined)[] = [];
    for (const [turn, schedule] of ["1s,2s", "3s", "1s,2s,4s", "2s"].entries()) {
      await system.services.emailer.end("SIGTERM");
      const env = { RETRY_LADDER: schedule, MAX_ATTEMPTS: "100" };
      await system.restart("emailer", env);
      await system.services.emailer.ready();
      const answers = await sendMany(system, 20, 8, (number) => emailNumber(20 * turn + number));
      ids.push(...answers.map(({ id }) => id));
      const deferred = system.audit().filter(({ kind }) => kind === "email.deferred").length;
      await system.audited("email.deferred", deferred + 30);
    }
    refusing = false;

    await system.audited("email.sent", 80, 60_000);

    const taken = system.sink.taken.map(({ messageId }) => messageId);
    expect(twice(taken)).toEqual([]);
    expect(taken.sort()).toEqual(ids.sort());
    const broker = await probe(system.amqp);
    for (const id of ids) {
      const trail = system.audit().filter((line) => line.id === id && line.attempt);
      expect(trail.map(({ attempt }) => attempt)).toEqual(trail.map((_, nth) => nth + 1));
      expect(trail).toHaveLength(asked.get(String(trail[0]?.recipient)) ?? 0);
    }
    for (const wait of WAITS) expect(await broker.depth(wait)).toBe(0);
    await broker.close();
  });
});
