import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { topology, type LeaseNotice, type Query } from "@wellsent/contract";
import { createVhost, deleteVhost, probe, waitFor, type Probe } from "@wellsent/testing";
import { Rig } from "../../../packages/amqp/test/rig.ts";
import { Guard } from "../src/delivery/guard.ts";
import { Transfers } from "../src/delivery/transfers.ts";

const ID = "0199c0de-0000-7000-8000-000000000001.0.0";
const live = new AbortController().signal;

let rig: Rig;
let vhost: string;
let logger: Probe;
let queries: Query[];
let notices: LeaseNotice[];
let answers: boolean;
let guard: Guard;
let transfers: Transfers;

beforeEach(async () => {
  [rig, queries, notices, answers] = [new Rig(), [], [], true];
  vhost = await createVhost();
  const connection = await rig.connect(vhost);
  transfers = new Transfers();
  const { fail, log } = rig;
  const asking = { waitMs: 60_000, ending: live, transfers };
  guard = new Guard({ connection, topology: topology(), fail, log, ...asking });
  rig.adopt(guard);
  guard.start();
  await waitFor("a channel", () => guard.channel);
  logger = await probe(vhost);
  await logger.channel.consume("logger", (message) => message && take(message), { noAck: true });
});

afterEach(() => rig.stop());
afterEach(() => logger.close());
afterEach(() => deleteVhost(vhost));

describe("Guard", () => {
  it("asks many questions at once, and gives each its answer", async () => {
    const ids = Array.from({ length: 50 }, (_, index) => ID.replace(".0.0", `.${index}.0`));

    const given = await Promise.all(ids.map((id) => ask(id)));

    expect(given.map((answer) => answer?.delivery)).toEqual(ids);
    expect(rig.log.lines.filter(({ level }) => level === "warn")).toEqual([]);
  });

  it("keeps nobody but copies in doubt waiting while the logger is away, until it answers again", async () => {
    answers = false;
    const copy = ask(ID, true);
    // As long as it takes to find out that the logger is away.
    expect(await ask()).toBeUndefined();
    const before = queries.length;

    expect(await ask()).toBeUndefined();
    expect(queries).toHaveLength(before);
    expect(await Promise.race([copy, Promise.resolve("waits")])).toBe("waits");

    answers = true;
    expect(await copy).toMatchObject({ delivery: ID });
    expect(await ask()).toMatchObject({ delivery: ID });
  });

  it("fails a question when the message's channel is lost", async () => {
    answers = false;
    const lost = new AbortController();
    const asked = guard.ask(ID, { acquire: true, isPatient: true, signal: lost.signal });
    lost.abort();

    await expect(asked).rejects.toMatchObject({ name: "AbortError" });
  });

  it("renews the leases of slow transfers, and all of them when their channel is lost", async () => {
    const channel = new AbortController();
    transfers.begin(ID, channel.signal);
    await waitFor("a renewal", () => notices.length);
    expect(notices[0]).toMatchObject({ held: [ID], released: [] });

    const fast = ID.replace(".0.0", ".1.0");
    transfers.begin(fast, channel.signal);
    channel.abort();
    await waitFor("both renewed", () => notices.some(({ held }) => held.includes(fast)));

    guard.releaseLease(ID);
    await waitFor("the release", () => notices.some(({ released }) => released.includes(ID)));
  });
});

const ask = (id = ID, isPatient = false) =>
  guard.ask(id, { acquire: true, isPatient, signal: live });

type Taken = Parameters<Parameters<Probe["channel"]["consume"]>[1]>[0] & object;

/** Does the logger's part. */
function take({ content, properties }: Taken): void {
  const body: unknown = JSON.parse(content.toString());
  if (properties.type === "lease.v1") notices.push(body as LeaseNotice);
  if (properties.type !== "query.v1") return;
  queries.push(body as Query);
  const { delivery } = body as Query;
  const answer = { delivery, whole: true, last: null, possibleDuplicate: false };
  const { correlationId, replyTo } = properties as Record<"correlationId" | "replyTo", string>;
  const bytes = Buffer.from(JSON.stringify(answer));
  if (answers) logger.channel.sendToQueue(replyTo, bytes, { correlationId, type: "answer.v1" });
}
