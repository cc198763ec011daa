import {
  appendFileSync,
  copyFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { toLine, type AuditLine } from "../src/audit/line.ts";
import type { AuditLog } from "../src/audit/log.ts";
import { describeEmail } from "../src/operator-api/emails.ts";
import { oldestWaiting } from "../src/metrics.ts";
import { listParked, selects } from "../src/parked/list.ts";
import { Ledger, LEDGER_FILE, SqliteStore } from "@wellsent/ledger";
import { createFakeLog, waitFor } from "@wellsent/testing";
import {
  auditLog,
  EMAIL_ID,
  EMAIL_TIME,
  eventsOf,
  filesOf,
  temporaryDirectory,
  testMetrics,
} from "./support.ts";

const DELIVERY = `${EMAIL_ID}.0.0`;

const ledgers: Ledger[] = [];
afterEach(async () => {
  for (const ledger of ledgers.splice(0)) await ledger.stop();
});

function event(
  kind: AuditLine["kind"],
  second: number,
  more: Partial<Parameters<typeof toLine>[1]> = {},
): AuditLine {
  return toLine(`${kind}.${second}`, {
    kind,
    delivery: DELIVERY,
    time: new Date(Date.UTC(2026, 10, 23, 12, 0, second)).toISOString(),
    possibleDuplicate: false,
    ...more,
  });
}

/** A ledger over an audit log of its own, as main.ts puts it together; `gate` is waited for after each part that is read. */
async function setUp(
  directory = temporaryDirectory(),
  retentionDays = 0,
  gate: () => Promise<void> = () => Promise.resolve(),
) {
  const metrics = testMetrics(directory);
  const log = createFakeLog();
  const audit: AuditLog = auditLog(directory, {
    isParked: (delivery) => ledger.isParked(delivery),
    forgetFile: (name) => ledger.forgetFile(name),
    retentionDays,
  });
  const read = async function* (name: string, from: number) {
    for await (const part of audit.read(name, from)) {
      yield part;
      await gate();
    }
  };
  const ledger: Ledger = new Ledger({
    store: new SqliteStore(directory),
    files: {
      files: () => audit.files(),
      eventBefore: (...args) => audit.eventBefore(...args),
      read,
    },
    keptSince: () => (retentionDays === 0 ? 0 : Date.now() - retentionDays * 86_400_000),
    onWhole: (whole) => metrics.ledgerBroken.set(whole ? 0 : 1),
    log,
  });
  ledgers.push(ledger);
  ledger.start();
  await audit.open();
  const whole = () => waitFor("a whole ledger", () => ledger.check() === undefined);
  await whole();
  const write = async (...lines: AuditLine[]) => {
    await ledger.add(lines, await audit.write(lines));
  };
  const answerOf = async (delivery = DELIVERY) => {
    const { last, possibleDuplicate, whole: isWhole } = await ledger.statusOf(delivery);
    return { delivery, whole: isWhole, last, possibleDuplicate };
  };
  const broken = async () => (await metrics.ledgerBroken.get()).values[0]?.value;
  return { directory, ledger, audit, write, whole, answerOf, broken, log };
}

const answer = (last: string | null, possibleDuplicate = false) => ({
  delivery: DELIVERY,
  whole: true,
  last,
  possibleDuplicate,
});

describe("Ledger", () => {
  it("knows nothing of a delivery that was never heard of", async () => {
    const { answerOf } = await setUp();

    expect(await answerOf(DELIVERY)).toEqual(answer(null));
  });

  const history = [
    event("email.accepted", 0),
    event("email.deferred", 1, { possibleDuplicate: true }),
    event("email.sent", 2),
    event("email.parked", 3),
  ];
  it.each([history, history.toReversed(), [history[2], history[0], history[3], history[1]]])(
    "comes to the same end in whatever order events arrive",
    async (...lines) => {
      const { ledger, answerOf } = await setUp();

      for (const line of [...lines, ...lines]) if (line) await ledger.add([line]);

      expect(await answerOf(DELIVERY)).toEqual(answer("email.sent", true));
    },
  );

  it("still knows everything after a start, also what only the audit log has", async () => {
    const first = await setUp();
    await first.write(event("email.accepted", 0));
    await first.audit.write([event("email.failed", 1)]);
    await first.ledger.stop();

    const { answerOf } = await setUp(first.directory);

    expect(await answerOf(DELIVERY)).toEqual(answer("email.failed"));
  });

  it.each([
    ["deleted", (path: string) => rmSync(path)],
    ["overwritten with rubbish", (path: string) => writeFileSync(path, "rubbish".repeat(10_000))],
    ["emptied", (path: string) => writeFileSync(path, "")],
  ])("is built anew from the audit log when its file is %s", async (_, harm) => {
    const { directory, ledger, answerOf, write, whole, broken, log } = await setUp();
    await write(event("email.accepted", 0), event("email.parked", 1));

    harm(join(directory, LEDGER_FILE));
    await write(event("email.deferred", 2, { delivery: `${EMAIL_ID}.1.0` }));

    expect(ledger.check()).toMatchObject({ blocks: false });
    expect(await broken()).toBe(1);
    expect(log.messages).toContain("ledger broken, building it anew");
    await whole();
    expect(await broken()).toBe(0);
    expect(await answerOf(DELIVERY)).toEqual(answer("email.parked"));
    expect(await answerOf(`${EMAIL_ID}.1.0`)).toMatchObject({ last: "email.deferred" });
  });

  it("says that it is not whole while its file cannot be made, and goes on when it can", async () => {
    const { directory, ledger, answerOf, write } = await setUp();
    const path = join(directory, LEDGER_FILE);
    await write(event("email.sent", 0));
    ledger.rebuild();

    expect(await answerOf(DELIVERY)).toMatchObject({ whole: false });
    await expect(ledger.countsByReason()).rejects.toMatchObject({ code: "LEDGER_BROKEN" });
    await waitFor("the answer", async () => (await answerOf(DELIVERY)).last === "email.sent");
    expect(path).toContain(directory);
  });

  it("forgets what is older than the retention, but not what is parked", async () => {
    const { ledger, answerOf } = await setUp(temporaryDirectory(), 1);
    const parked = `${EMAIL_ID}.1.0`;
    const time = EMAIL_TIME;

    await ledger.add([
      event("email.sent", 0, { time }),
      event("email.parked", 0, { time, delivery: parked }),
    ]);
    await ledger.add([event("email.deferred", 1, { time, delivery: `${EMAIL_ID}.2.0` })]);

    expect((await answerOf(DELIVERY)).last).toBeNull();
    expect((await answerOf(parked)).last).toBe("email.parked");
  });

  it("remembers the replay of what was parked before the retention", async () => {
    const { ledger, answerOf } = await setUp(temporaryDirectory(), 1);
    const [replay, time] = [`${EMAIL_ID}.0.1`, new Date().toISOString()];
    await ledger.add([event("email.parked", 0, { time: EMAIL_TIME })]);

    await ledger.add([
      event("email.replayed", 1, { time }),
      event("email.accepted", 2, { time, delivery: replay }),
    ]);
    await ledger.add([event("email.sent", 3, { time, delivery: replay })]);

    expect((await answerOf(DELIVERY)).last).toBe("email.replayed");
    expect((await answerOf(replay)).last).toBe("email.sent");
  });

  it("still lists what is parked when it is built anew after the retention", async () => {
    const { directory, ledger, audit, write, whole } = await setUp(temporaryDirectory(), 1);
    const other = `${EMAIL_ID}.1.0`;
    await write(event("email.accepted", 0), event("email.parked", 1, { reason: "CRASHED" }));
    await write(event("email.parked", 2, { delivery: other }));
    await write(event("email.deleted", 3, { delivery: other }));
    const list = () => listParked({ ledger, ending: String }, { limit: 10, cursor: "" });
    const before = await list();

    const [name = ""] = filesOf(directory);
    renameSync(join(directory, name), join(directory, "audit-2020-01-01.001.jsonl"));
    await audit.expire();
    rmSync(join(directory, LEDGER_FILE));
    await expect(list()).rejects.toThrow("being built");
    await whole();

    expect(eventsOf(directory)).toEqual(["email.parked.1"]);
    expect(await list()).toEqual(before);
    expect(before.parked).toMatchObject([{ delivery: DELIVERY, reason: "CRASHED" }]);
  });
});

describe("a ledger that is being built", () => {
  it("refuses every question until it is whole, then answers as before; the guard is told what is known", async () => {
    let building = Promise.withResolvers<undefined>();
    building.resolve(undefined);
    const { ledger, answerOf, write, whole } = await setUp(
      temporaryDirectory(),
      0,
      () => building.promise,
    );
    // More lines than are read at a time.
    const many = Array.from({ length: 1_200 }, (_, index) => {
      const delivery = `${EMAIL_ID}.${String(index)}.0`;
      return event(index === 700 ? "email.accepted" : "email.parked", index, { delivery });
    });
    await write(...many);
    const list = { ledger, ending: (domain: string) => domain };
    const filter = { filter: { olderThan: 0 } };
    const questions = [
      () => listParked(list, { limit: 1_000, cursor: "" }),
      () => describeEmail(ledger, EMAIL_ID),
      () => selects(list, filter).then((isOne) => isOne(DELIVERY)),
      () => selects(list, { ids: [DELIVERY] }).then((isOne) => isOne(DELIVERY)),
      () => selects(list, { all: true }).then((isOne) => isOne(DELIVERY)),
    ];
    const askAll = () => Promise.all(questions.map((ask): Promise<unknown> => ask()));
    const before = await askAll();
    const { registry } = testMetrics(tmpdir(), ledger);
    const gauge = registry.getSingleMetric("wellsent_parked_deliveries");
    const parked = async () => (await gauge?.get())?.values.map(({ value }) => value);
    expect(await parked()).toEqual([1_199]);

    building = Promise.withResolvers<undefined>();
    ledger.rebuild();
    await waitFor("a part", async () => (await answerOf(DELIVERY)).last === "email.parked");

    expect(await answerOf(DELIVERY)).toEqual({ ...answer("email.parked"), whole: false });
    for (const ask of questions) {
      await expect(ask()).rejects.toMatchObject({ code: "LEDGER_BROKEN" });
    }
    expect(await parked()).toEqual([]);
    expect(await oldestWaiting(ledger)).toBeNaN();
    building.resolve(undefined);
    await whole();
    expect(await askAll()).toEqual(before);
    expect(await oldestWaiting(ledger)).not.toBeNaN();
  });
});

describe("oldestWaiting", () => {
  it("is the age of the oldest delivery that was never attempted", async () => {
    const { ledger, write } = await setUp();
    const ago = (seconds: number) => ({
      time: new Date(Date.now() - seconds * 1_000).toISOString(),
    });

    expect(await oldestWaiting(ledger)).toBe(0);
    await write(
      event("email.accepted", 0, { ...ago(60), delivery: `${EMAIL_ID}.0.0` }),
      event("email.accepted", 1, { ...ago(30), delivery: `${EMAIL_ID}.1.0` }),
    );
    expect(Math.round((await oldestWaiting(ledger)) / 10)).toBe(6);

    await write(event("email.deferred", 0, { ...ago(5), delivery: `${EMAIL_ID}.0.0` }));
    expect(Math.round((await oldestWaiting(ledger)) / 10)).toBe(3);
  });

  it("is not a number while the ledger is broken", async () => {
    const { ledger } = await setUp();

    await ledger.stop();

    expect(await oldestWaiting(ledger)).toBeNaN();
  });
});

describe("a ledger at start", () => {
  it.each(["\u0085", "\u2028", "\u2029", "\r", "\0"])(
    "is built again with mail whose subject has the character %j, also where it was written raw",
    async (char) => {
      const first = await setUp();
      const subject = `a${char}b`;
      await first.write(event("email.parked", 0, { subject, reply: `550 ${char}` }));
      const raw = event("email.parked", 1, { subject, delivery: `${EMAIL_ID}.1.0` });
      const [name = ""] = filesOf(first.directory);
      await first.ledger.stop();
      appendFileSync(join(first.directory, name), `${JSON.stringify(raw)}\n`);
      rmSync(join(first.directory, LEDGER_FILE));

      const { ledger } = await setUp(first.directory);

      const { total } = await listParked({ ledger, ending: String }, { limit: 10, cursor: "" });
      expect(total).toBe(2);
    },
  );

  it("that is older than the audit log catches up over every file", async () => {
    const first = await setUp();
    await first.write(event("email.accepted", 0));
    await first.ledger.stop();
    const path = join(first.directory, LEDGER_FILE);
    copyFileSync(path, `${path}.old`);
    const [name = ""] = filesOf(first.directory);
    const more = [`${EMAIL_ID}.1.0`, `${EMAIL_ID}.2.0`].map((delivery, second) =>
      JSON.stringify(event("email.sent", second, { delivery })),
    );
    appendFileSync(join(first.directory, name), `${String(more[0])}\n`);
    writeFileSync(join(first.directory, "audit-2025-01-01.001.jsonl"), `${String(more[1])}\n`);
    copyFileSync(`${path}.old`, path);

    const { answerOf, log } = await setUp(first.directory);

    expect(await answerOf()).toEqual(answer("email.accepted"));
    expect((await answerOf(`${EMAIL_ID}.1.0`)).last).toBe("email.sent");
    expect((await answerOf(`${EMAIL_ID}.2.0`)).last).toBe("email.sent");
    expect(log.messages).toEqual(["ledger caught up with the audit log"]);
  });

  it.each<[string, (path: string) => void]>([
    ["removed", (path) => rmSync(path)],
    ["cut", (path) => truncateSync(path)],
    [
      "replaced",
      (path) => {
        const other = event("email.failed", 9, { delivery: `${EMAIL_ID}.9.0` });
        writeFileSync(path, `${JSON.stringify(other)}\n`.repeat(9));
      },
    ],
  ])("is built again if an audit file was %s", async (_, harm) => {
    const first = await setUp();
    await first.write(event("email.sent", 0));
    await first.ledger.stop();
    const [name = ""] = filesOf(first.directory);
    harm(join(first.directory, name));

    const { answerOf, log } = await setUp(first.directory);

    expect(log.messages).toContain("ledger does not match the audit log, building it again");
    expect(await answerOf()).toEqual(answer(null));
  });
});
