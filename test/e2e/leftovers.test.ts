import { afterEach, describe, expect, it } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Leftovers } from "../../scripts/leftovers.ts";
import { mountSmallDisk, whyNoSmallDisk } from "../support/small-disk.ts";

const SETTLE_MS = 200;
/** No process has a number so high: 4,194,304 is Linux's limit. */
const NO_PID = 4_194_305;

const running: ChildProcess[] = [];
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
});

describe("Leftovers", () => {
  it("names a file and a process that are left, and nothing once they are gone", async () => {
    const leftovers = new Leftovers(SETTLE_MS);
    const file = join(leftovers.directory, "file");
    writeFileSync(file, "");
    const child = spawn("sleep", ["600"], { env: { TMPDIR: leftovers.directory } });
    running.push(child);
    await once(child, "spawn");

    expect(await leftovers.collect()).toEqual([
      `file ${file}`,
      `process ${child.pid ?? ""} sleep 600 `,
    ]);

    rmSync(file);
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    expect(await leftovers.collect()).toEqual([]);
    expect(existsSync(leftovers.directory)).toBe(false);
  });

  it("removes the directory of a run that was killed, and no other", () => {
    const killed = join(tmpdir(), `wellsent-run-${NO_PID}-test`);
    const alive = join(tmpdir(), `wellsent-run-${process.pid}-test`);
    for (const directory of [killed, alive]) mkdirSync(directory);

    const { directory } = new Leftovers(SETTLE_MS);
    const left = [killed, alive].map((each) => existsSync(each));
    for (const each of [alive, directory]) rmSync(each, { recursive: true });

    expect(left).toEqual([false, true]);
  });
});

(whyNoSmallDisk() ? describe.skip : describe)("a small disk", () => {
  it("is filled, freed, made read-only and writable again, and is gone when removed", async () => {
    const disk = await mountSmallDisk(20);
    disk.fill();
    expect(() => writeFileSync(join(disk.view, "file"), "x".repeat(5_000))).toThrow("ENOSPC");
    disk.free();
    disk.readOnly(true);
    expect(() => writeFileSync(join(disk.view, "file"), "x")).toThrow("EROFS");
    disk.readOnly(false);
    writeFileSync(join(disk.view, "file"), "x");

    await disk.remove();

    expect(existsSync(disk.view)).toBe(false);
  });

  it("says why it cannot be mounted", async () => {
    await expect(mountSmallDisk(0)).rejects.toThrow(/no small disk: .+/);
  });
});
