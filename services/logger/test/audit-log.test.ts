import type { AuditLine } from "../src/audit/line.ts";
import {
  appendFileSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Open } from "../src/audit/file.ts";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { auditLog, EMAIL_ID, eventsOf, filesOf, line, temporaryDirectory } from "./support.ts";

const DAY_MS = 86_400_000;
const NOON = Date.parse("2026-11-23T12:00:00Z");
const FIRST = "audit-2026-11-23.001.jsonl";
const SECOND = "audit-2026-11-23.002.jsonl";

/** Options with a clock that the test sets. */
function clock() {
  const time = { now: NOON };
  return { time, now: () => time.now };
}

/** An `open` whose handles do something else at one method, as often as `times`. */
function faultyOpen(
  method: "appendFile" | "datasync",
  fault: (handle: FileHandle, bytes: Buffer) => Promise<void>,
  times: number,
): { open: Open; opened: () => number } {
  let opened = 0;
  let left = times;
  const faulty = async (...[path, flags, mode]: Parameters<Open>) => {
    const handle = await open(path, flags, mode);
    if (!String(path).endsWith(".jsonl")) return handle;
    opened++;
    const sound = handle[method].bind(handle);
    handle[method] = (bytes?: unknown) =>
      left-- > 0 ? fault(handle, bytes as Buffer) : sound(bytes as never);
    return handle;
  };
  return { open: faulty, opened: () => opened };
}

/** Writes half of it, and the other half to a device that is always full. */
async function fillUp(handle: FileHandle, bytes: Buffer): Promise<void> {
  await handle.write(bytes, 0, bytes.length >> 1);
  const full = await open("/dev/full", "w");
  await full.writeFile(bytes).finally(() => full.close());
}

/** And then it cannot be cut off either, on this descriptor. */
function fillUpAndKeep(handle: FileHandle, bytes: Buffer): Promise<void> {
  handle.truncate = () => Promise.reject(new Error("EIO"));
  return fillUp(handle, bytes);
}

function brokenSync(): Promise<void> {
  return Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
}

describe("AuditLog#write", () => {
  it("appends lines to the day's file, readable for the group", async () => {
    const directory = temporaryDirectory();
    const log = auditLog(directory, { now: () => NOON });

    await log.write([line(1), line(2)]);
    await log.write([line(3)]);

    expect(filesOf(directory)).toEqual([FIRST]);
    expect(eventsOf(directory)).toEqual(["1", "2", "3"]);
    expect(statSync(join(directory, FIRST)).mode & 0o137).toBe(0);
  });

  it("goes on in the next file when one would grow beyond its size", async () => {
    const directory = temporaryDirectory();
    const log = auditLog(directory, { now: () => NOON, fileMaxBytes: 1_000 });

    for (const event of [1, 2, 3, 4]) await log.write([line(event)]);

    expect(filesOf(directory)).toEqual([FIRST, SECOND]);
    expect(statSync(join(directory, FIRST)).size).toBeLessThanOrEqual(1_000);
    expect(eventsOf(directory)).toEqual(["1", "2", "3", "4"]);
  });

  it("begins a file with the day, also when the clock is set back", async () => {
    const directory = temporaryDirectory();
    const { time, now } = clock();
    const log = auditLog(directory, { now });

    await log.write([line(1)]);
    time.now = NOON + DAY_MS;
    await log.write([line(2)]);
    time.now = NOON;
    await log.write([line(3)]);

    expect(filesOf(directory)).toEqual([FIRST, SECOND, "audit-2026-11-24.001.jsonl"]);
    expect(eventsOf(directory)).toEqual(["1", "3", "2"]);
  });

  it.each([
    ["at once", fillUp, false],
    ["before it writes again, where that fails", fillUpAndKeep, true],
  ])("removes the half line that a full disk left, %s", async (_, fault, left) => {
    const directory = temporaryDirectory();
    const { open } = faultyOpen("appendFile", fault, 2);
    const { time, now } = clock();
    const log = auditLog(directory, { now, open });

    await expect(log.write([line(1), line(2)])).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(log.write([line(1), line(2)])).rejects.toMatchObject({ code: "ENOSPC" });
    expect(statSync(join(directory, FIRST)).size > 0).toBe(left);
    time.now += DAY_MS;
    await log.write([line(1), line(2)]);

    expect(filesOf(directory)).toEqual([FIRST]);
    expect(eventsOf(directory)).toEqual(["1", "2"]);
  });

  it("never syncs a descriptor again whose sync failed", async () => {
    const directory = temporaryDirectory();
    const { open, opened } = faultyOpen("datasync", brokenSync, 1);
    const log = auditLog(directory, { now: () => NOON, open });

    await expect(log.write([line(1)])).rejects.toMatchObject({ code: "EIO" });
    await log.write([line(1)]);

    expect(opened()).toBe(2);
    expect(eventsOf(directory)).toEqual(["1"]);
  });

  it.each([
    [
      "removed",
      (path: string) => {
        rmSync(path);
      },
      ["2"],
    ],
    [
      "renamed",
      (path: string) => {
        renameSync(path, path.replace("audit-", "0-"));
      },
      ["1", "2"],
    ],
    [
      "truncated",
      (path: string) => {
        truncateSync(path);
      },
      ["2"],
    ],
    [
      "added to",
      (path: string) => {
        appendFileSync(path, '{"eventId":"by hand"}\n');
      },
      ["1", "by hand", "2"],
    ],
    [
      "replaced",
      (path: string) => {
        // Written before the old one goes, whose inode's number it would get otherwise.
        writeFileSync(`${path}~`, readFileSync(path));
        renameSync(`${path}~`, path);
      },
      ["1", "2"],
    ],
  ])("goes on in another file when its file was %s by hand", async (_, change, events) => {
    const directory = temporaryDirectory();
    const kept = createFakeLog();
    const log = auditLog(directory, { now: () => NOON, log: kept });
    await log.write([line(1)]);

    change(join(directory, FIRST));
    await log.write([line(2)]);

    expect(filesOf(directory)).toContain(SECOND);
    expect(eventsOf(directory)).toEqual(events);
    expect(kept.messages).toEqual(["audit file removed or changed by another hand, leaving it"]);
  });
});

describe("AuditLog#open", () => {
  it.each([
    ["without a line break", '{"eventId":"torn","v'],
    ["of zeros, as a power cut leaves it", "\0".repeat(200_000)],
    ["that is not JSON", '{"eventId":"torn",\0\0\0\n'],
    ["that is longer than what is read at once", `{"eventId":"${"x".repeat(100_000)}\n`],
  ])("cuts off a last line %s, says so and goes on in the file", async (_, torn) => {
    const directory = temporaryDirectory();
    const path = join(directory, FIRST);
    writeFileSync(path, `${JSON.stringify(line(1))}\n${JSON.stringify(line(2))}\n${torn}`);
    const kept = createFakeLog();
    const log = auditLog(directory, { now: () => NOON, log: kept });

    await log.open();
    await log.write([line(3)]);

    expect(filesOf(directory)).toEqual([FIRST]);
    expect(eventsOf(directory)).toEqual(["1", "2", "3"]);
    expect(kept.messages).toEqual(["torn last line removed"]);
    expect(kept.lines).toMatchObject([{ file: FIRST, bytes: torn.length }]);
  });

  it.each([["nothing"], ["one torn line"]])("goes on in a file with %s in it", async (text) => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, FIRST), text === "nothing" ? "" : text);
    const log = auditLog(directory, { now: () => NOON });

    await log.open();
    await log.write([line(1)]);

    expect(filesOf(directory)).toEqual([FIRST]);
    expect(eventsOf(directory)).toEqual(["1"]);
  });

  it("leaves a file alone that ends well, and does not go on in a full one", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, FIRST), `${JSON.stringify(line(1))}\n`);
    const kept = createFakeLog();
    const log = auditLog(directory, { now: () => NOON, fileMaxBytes: 500, log: kept });

    await log.open();
    await log.write([line(2)]);

    expect(filesOf(directory)).toEqual([FIRST, SECOND]);
    expect(kept.messages).toEqual([]);
  });

  it("tells the newest events, oldest first, through several files", async () => {
    const directory = temporaryDirectory();
    const { time, now } = clock();
    const before = auditLog(directory, { now, fileMaxBytes: 1_500 });
    for (let event = 1; event <= 8; event++) {
      time.now = NOON + (event >> 2) * DAY_MS;
      await before.write([line(event)]);
    }
    const seen: string[] = [];

    const keep = (lines: readonly AuditLine[]) => seen.push(...lines.map(({ eventId }) => eventId));
    await auditLog(directory, { now, linesMax: 6, seen: keep }).open();

    expect(seen).toEqual(["3", "4", "5", "6", "7", "8"]);
  });
});

describe("retention", () => {
  const day = (days: number) => new Date(NOON + days * DAY_MS).toISOString().slice(0, 10);
  const fill = (directory: string, ...days: number[]) => {
    for (const each of days) writeFileSync(join(directory, `audit-${day(each)}.001.jsonl`), "");
  };

  it("deletes the files of older days and logs it", async () => {
    const directory = temporaryDirectory();
    fill(directory, -12, -11, -10, -1);
    writeFileSync(join(directory, "audit-2020-01-01.txt"), "");
    const kept = createFakeLog();

    await auditLog(directory, { now: () => NOON, retentionDays: 10, log: kept }).expire();

    expect(filesOf(directory)).toEqual([
      `audit-${day(-10)}.001.jsonl`,
      `audit-${day(-1)}.001.jsonl`,
    ]);
    expect(statSync(join(directory, "audit-2020-01-01.txt")).isFile()).toBe(true);
    expect(kept.messages).toEqual(Array(2).fill("audit file deleted after its retention"));
  });

  it("deletes them at rotation too, and never with 0 days", async () => {
    const directory = temporaryDirectory();
    const { time, now } = clock();
    const log = auditLog(directory, { now, retentionDays: 1 });
    const forever = auditLog(directory, { now, retentionDays: 0 });
    fill(directory, -1);
    await log.write([line(1)]);

    time.now += 10 * DAY_MS;
    await forever.expire();
    expect(filesOf(directory)).toHaveLength(2);
    await log.write([line(2)]);

    await waitFor("the old ones are gone", () => eventsOf(directory).length === 1);
    expect(eventsOf(directory)).toEqual(["2"]);
  });

  it("keeps of them the lines of what is parked, until it no longer is or while nobody knows", async () => {
    const directory = temporaryDirectory();
    const { time, now } = clock();
    const parked = new Set([`${EMAIL_ID}.0.0`, `${EMAIL_ID}.1.0`]);
    let known = true;
    const isParked = (delivery: string) =>
      known
        ? Promise.resolve(parked.has(delivery))
        : Promise.reject(new Error("The ledger is being built"));
    const log = auditLog(directory, { now, retentionDays: 1, isParked });
    const lines = [0, 1, 2].flatMap((index) =>
      (["email.deferred", "email.parked"] as const).map((kind) => ({
        ...line(`${kind} ${String(index)}`),
        kind,
        delivery: `${EMAIL_ID}.${String(index)}.0`,
      })),
    );
    await log.write(lines);
    /** What is left once a later day was begun, and its line is the only one of a day within the retention. */
    const dayLater = async (event: string, left: string[]) => {
      time.now += 2 * DAY_MS;
      await log.expire();
      await log.write([line(event)]);
      expect(eventsOf(directory)).toEqual([...left, event]);
    };

    known = false;
    const all = lines.map(({ eventId }) => eventId);
    await dayLater("1", all);
    known = true;
    await dayLater("2", ["email.parked 0", "email.parked 1"]);
    parked.delete(`${EMAIL_ID}.0.0`);
    await dayLater("3", ["email.parked 1"]);
    await dayLater("4", ["email.parked 1"]);
    parked.clear();
    await dayLater("5", []);
    expect(filesOf(directory)).toHaveLength(1);
  });
});
