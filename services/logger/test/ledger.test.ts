import { renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { toLine, type AuditLine } from "../src/audit/line.ts";
import { describeEmail } from "../src/operator-api/emails.ts";
import { Ledger, LEDGER_FILE } from "../src/ledger.ts";
import { oldestWaiting } from "../src/metrics.ts";
import { isParked, listParked, selects } from "../src/parked/list.ts";
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
  const audit = auditLog(directory, {
    seen: (lines) => ledger.add(lines),
    isParked: (delivery) => isParked(ledger, delivery),
    retentionDays,
  });
  const ledger = new Ledger({
    directory,
    retentionDays,
    lines: async function* () {
      for await (const lines of audit.lines()) {
        yield lines;
        await gate();
      }
    },
    metrics,
    log,
  });
  ledgers.push(ledger);
  ledger.start();
  await audit.open();
  const whole = () => waitFor("a whole ledger", () => ledger.check() === undefined);
  await whole();
  const write = async (...lines: AuditLine[]) => {
    await audit.write(lines);
    ledger.add(lines);
  };
  const broken = async () => (await metrics.ledgerBroken.get()).values[0]?.value;
  return { directory, ledger, audit, write, whole, broken, log };
}

const answer = (last: string | null, possibleDuplicate = false) => ({
  delivery: DELIVERY,
  whole: true,
  last,
  possibleDuplicate,
});

describe("Ledger", () => {
  it("knows nothing of a delivery that was never heard of", async () => {
    const { ledger } = await setUp();

    expect(ledger.answer(DELIVERY)).toEqual(answer(null));
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
      const { ledger } = await setUp();

      for (const line of [...lines, ...lines]) if (line) ledger.add([line]);

      expect(ledger.answer(DELIVERY)).toEqual(answer("email.sent", true));
    },
  );

  it("still knows everything after a start, also what only the audit log has", async () => {
    const first = await setUp();
    await first.write(event("email.accepted", 0));
    await first.audit.write([event("email.failed", 1)]);
    await first.ledger.stop();

    const { ledger } = await setUp(first.directory);

    expect(ledger.answer(DELIVERY)).toEqual(answer("email.failed"));
  });

  it.each([
    ["deleted", (path: string) => rmSync(path)],
    ["overwritten with rubbish", (path: string) => writeFileSync(path, "rubbish".repeat(10_000))],
    ["emptied", (path: string) => writeFileSync(path, "")],
  ])("is built anew from the audit log when its file is %s", async (_, harm) => {
    const { directory, ledger, write, whole, broken, log } = await setUp();
    await write(event("email.accepted", 0), event("email.parked", 1));

    harm(join(directory, LEDGER_FILE));
    await write(event("email.deferred", 2, { delivery: `${EMAIL_ID}.1.0` }));

    expect(ledger.check()).toMatchObject({ blocks: false });
    expect(await broken()).toBe(1);
    expect(log.messages).toContain("ledger broken, building it anew");
    await whole();
    expect(await broken()).toBe(0);
    expect(ledger.answer(DELIVERY)).toEqual(answer("email.parked"));
    expect(ledger.answer(`${EMAIL_ID}.1.0`)).toMatchObject({ last: "email.deferred" });
  });

  it("says that it is not whole while its file cannot be made, and goes on when it can", async () => {
    const { directory, ledger, write } = await setUp();
    const path = join(directory, LEDGER_FILE);
    await write(event("email.sent", 0));
    ledger.rebuild();

    expect(ledger.answer(DELIVERY)).toMatchObject({ whole: false });
    expect(() => ledger.rows("SELECT nonsense")).toThrow(
      expect.objectContaining({ code: "LEDGER_BROKEN" }),
    );
    await waitFor("the answer", () => ledger.answer(DELIVERY).last === "email.sent");
    expect(path).toContain(directory);
  });

  it("forgets what is older than the retention, but not what is parked", async () => {
    const { ledger } = await setUp(temporaryDirectory(), 1);
    const parked = `${EMAIL_ID}.1.0`;
    const time = EMAIL_TIME;

    ledger.add([
      event("email.sent", 0, { time }),
      event("email.parked", 0, { time, delivery: parked }),
    ]);
    ledger.add([event("email.deferred", 1, { time, delivery: `${EMAIL_ID}.2.0` })]);

    expect(ledger.answer(DELIVERY).last).toBeNull();
    expect(ledger.answer(parked).last).toBe("email.parked");
  });

  it("remembers the replay of what was parked before the retention", async () => {
    const { ledger } = await setUp(temporaryDirectory(), 1);
    const [replay, time] = [`${EMAIL_ID}.0.1`, new Date().toISOString()];
    ledger.add([event("email.parked", 0, { time: EMAIL_TIME })]);

    ledger.add([
      event("email.replayed", 1, { time }),
      event("email.accepted", 2, { time, delivery: replay }),
    ]);
    ledger.add([event("email.sent", 3, { time, delivery: replay })]);

    expect(ledger.answer(DELIVERY).last).toBe("email.replayed");
    expect(ledger.answer(replay).last).toBe("email.sent");
  });

  it("still lists what is parked when it is built anew after the retention", async () => {
    const { directory, ledger, audit, write, whole } = await setUp(temporaryDirectory(), 1);
    const other = `${EMAIL_ID}.1.0`;
    await write(event("email.accepted", 0), event("email.parked", 1, { reason: "CRASHED" }));
    await write(event("email.parked", 2, { delivery: other }));
    await write(event("email.deleted", 3, { delivery: other }));
    const list = () => listParked({ ledger, ending: String }, { limit: 10, cursor: "" });
    const before = list();

    const [name = ""] = filesOf(directory);
    renameSync(join(directory, name), join(directory, "audit-2020-01-01.001.jsonl"));
    await audit.open();
    rmSync(join(directory, LEDGER_FILE));
    expect(list).toThrow("being built");
    await whole();

    expect(eventsOf(directory)).toEqual(["email.parked.1"]);
    expect(list()).toEqual(before);
    expect(before.parked).toMatchObject([{ delivery: DELIVERY, reason: "CRASHED" }]);
  });
});

describe("a ledger that is being built", () => {
  it("refuses every question until it is whole, then answers as before; the guard is told what is known", async () => {
    let building = Promise.withResolvers<undefined>();
    building.resolve(undefined);
    const { ledger, write, whole } = await setUp(temporaryDirectory(), 0, () => building.promise);
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
      () => selects(list, filter)(DELIVERY),
      () => selects(list, { ids: [DELIVERY] })(DELIVERY),
      () => selects(list, { all: true })(DELIVERY),
    ];
    const before = questions.map((ask) => ask());
    const { registry } = testMetrics(tmpdir(), ledger);
    const gauge = registry.getSingleMetric("wellsent_parked_deliveries");
    const parked = async () => (await gauge?.get())?.values.map(({ value }) => value);
    expect(await parked()).toEqual([1_199]);

    building = Promise.withResolvers<undefined>();
    ledger.rebuild();
    await waitFor("a part", () => ledger.answer(DELIVERY).last === "email.parked");

    expect(ledger.answer(DELIVERY)).toEqual({ ...answer("email.parked"), whole: false });
    for (const ask of questions)
      expect(ask).toThrow(expect.objectContaining({ code: "LEDGER_BROKEN" }));
    expect(await parked()).toEqual([]);
    expect(oldestWaiting(ledger)).toBeNaN();
    building.resolve(undefined);
    await whole();
    expect(questions.map((ask) => ask())).toEqual(before);
    expect(oldestWaiting(ledger)).not.toBeNaN();
  });
});

describe("oldestWaiting", () => {
  it("is the age of the oldest delivery that was never attempted", async () => {
    const { ledger, write } = await setUp();
    const ago = (seconds: number) => ({
      time: new Date(Date.now() - seconds * 1_000).toISOString(),
    });

    expect(oldestWaiting(ledger)).toBe(0);
    await write(
      event("email.accepted", 0, { ...ago(60), delivery: `${EMAIL_ID}.0.0` }),
      event("email.accepted", 1, { ...ago(30), delivery: `${EMAIL_ID}.1.0` }),
    );
    expect(Math.round(oldestWaiting(ledger) / 10)).toBe(6);

    await write(event("email.deferred", 0, { ...ago(5), delivery: `${EMAIL_ID}.0.0` }));
    expect(Math.round(oldestWaiting(ledger) / 10)).toBe(3);
  });

  it("is found by an index, and is not a number while the ledger is broken", async () => {
    const { ledger } = await setUp();
    const sql = "SELECT min(time) AS time FROM deliveries WHERE kind = 'email.accepted'";

    const plan = ledger.rows(`EXPLAIN QUERY PLAN ${sql}`);
    await ledger.stop();

    expect(String(plan[0]?.["detail"])).toContain("deliveries_waiting");
    expect(oldestWaiting(ledger)).toBeNaN();
  });
});
