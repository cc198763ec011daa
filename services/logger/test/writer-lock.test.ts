import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { createWriterLock } from "../src/audit/writer-lock.ts";
import { temporaryDirectory } from "./support.ts";
import { createFakeLog, waitFor } from "@wellsent/testing";

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
});

async function holdElsewhere(directory: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(__dirname, "programs/hold-lock.ts"), directory]);
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

describe("createWriterLock", () => {
  it("waits while another process holds it, says so, and has it when that one is killed", async () => {
    const directory = temporaryDirectory();
    const first = await holdElsewhere(directory);
    const log = createFakeLog();
    const second = createWriterLock(directory, log);

    const starting = second.start();
    await waitFor("it says that it waits", () => log.messages.length === 1);
    expect(second.check()).toEqual({
      reason: "writer lock: another writer holds the directory",
      blocks: true,
    });
    await kill(first);
    await starting;

    expect(second.check()).toBeUndefined();
    await second.stop();
  });

  it("gives up waiting when it is stopped", async () => {
    const directory = temporaryDirectory();
    const [first, second] = [
      createWriterLock(directory, createFakeLog()),
      createWriterLock(directory, createFakeLog()),
    ];
    await first.start();

    const starting = second.start();
    await second.stop();

    await expect(starting).resolves.toBeUndefined();
    await first.stop();
  });

  it("is free again after it was stopped", async () => {
    const directory = temporaryDirectory();
    const [first, second] = [
      createWriterLock(directory, createFakeLog()),
      createWriterLock(directory, createFakeLog()),
    ];

    await first.start();
    await first.stop();
    await second.start();

    expect(second.check()).toBeUndefined();
    await second.stop();
  });

  it("makes the directory when it is missing", async () => {
    const directory = join(temporaryDirectory(), "deep", "audit");
    const lock = createWriterLock(directory, createFakeLog());

    await lock.start();

    expect(existsSync(join(directory, "writer.lock"))).toBe(true);
    await lock.stop();
  });

  it("refuses a directory that cannot be one, naming it and the user", async () => {
    const file = join(temporaryDirectory(), "file");
    writeFileSync(file, "");

    await expect(
      createWriterLock(join(file, "audit"), createFakeLog()).start(),
    ).rejects.toMatchObject({
      name: "ConfigError",
      code: "AUDIT_DIR_UNUSABLE",
      message: expect.stringMatching(
        /^AUDIT_DIR: .*file\/audit cannot be written by user id \d+ \(ENOTDIR\)$/,
      ) as unknown,
    });
  });
});
