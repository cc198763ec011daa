import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createFakeLog, createVhost, deleteVhost, probe } from "@wellsent/testing";
import { ConsumerLock } from "../src/consumer-lock.ts";

let url: string;

beforeAll(async () => {
  url = await createVhost();
});
afterAll(() => deleteVhost(url));

const OPTIONS = { queue: "test.lock", heldReason: "another test consumes" };

describe("ConsumerLock", () => {
  it("is refused while another connection holds it, and acquired when that has closed", async () => {
    const log = createFakeLog();
    const lock = new ConsumerLock(OPTIONS, log);
    const holder = await probe(url);
    await new ConsumerLock(OPTIONS, log).acquire(holder.channel);

    const refused = await probe(url);
    const error: unknown = await lock.acquire(refused.channel).catch((cause: unknown) => cause);
    const isRefusal = lock.noteRefusal(error);
    const reason = lock.heldReason;
    await refused.close();
    await holder.close();
    const next = await probe(url);
    await lock.acquire(next.channel);
    await next.close();

    expect([isRefusal, reason, lock.heldReason]).toEqual([
      true,
      "another test consumes",
      undefined,
    ]);
    expect(log.lines.map(({ message }) => message)).toEqual([
      "lock not acquired: another test consumes",
      "lock acquired, consuming",
    ]);
  });

  it("can be acquired again by the connection that holds it", async () => {
    const lock = new ConsumerLock({ ...OPTIONS, queue: "test.lock.again" }, createFakeLog());
    const program = await probe(url);

    await lock.acquire(program.channel);

    await expect(lock.acquire(program.channel)).resolves.toBeUndefined();
    await program.close();
  });

  it("logs a refusal once in a row, and ignores other errors", () => {
    const log = createFakeLog();
    const lock = new ConsumerLock(OPTIONS, log);
    const refusal = Object.assign(new Error("locked"), { code: 405 });

    const noted = [new Error("other"), refusal, refusal].map((error) => lock.noteRefusal(error));

    expect(noted).toEqual([false, true, true]);
    expect(log.lines).toHaveLength(1);
  });
});
