import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { mountSmallDisk, whyNoSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { spawnService } from "../support/spawn-service.ts";
import {
  allReady,
  emailNumber,
  startSystem,
  twice,
  type Answer,
  type System,
} from "../support/system.ts";
import { waitFor } from "@wellsent/testing";

const FULL_MS = 60_000;
const READ_ONLY_MS = 8_000;
const STALLED_SECONDS = 10;
const DISK_MEGABYTES = 200;

const whyNoDisk = whyNoSmallDisk();
if (whyNoDisk) process.stderr.write(`NOT RUN: tests on a disk that fills: ${whyNoDisk}.\n`);
const itOnDisk = whyNoDisk ? it.skip : it;

let disk: SmallDisk | undefined;
let system: System;

beforeEach(async () => {
  disk = whyNoDisk ? undefined : await mountSmallDisk(DISK_MEGABYTES);
  system = await startSystem({ ...(disk && { disk }) });
  await allReady(system);
});

afterEach(async () => {
  await system.stop();
  await disk?.remove();
});

describe("the audit log's disk under load", () => {
  itOnDisk(
    "is full for a minute: the logger says so, nothing ends, and every event is on it when there is room",
    async () => {
      const load = startLoad();
      await sleep(2_000);

      disk?.fill();
      await named("audit log: ENOSPC");
      await sleep(FULL_MS);
      await named("audit log: ENOSPC");
      disk?.free();
      await named(undefined);

      await expectEverything(await load.stop());
    },
    200_000,
  );

  itOnDisk(
    "stalls: the logger answers all the while, and every event is on it afterwards",
    async () => {
      const load = startLoad();
      await named(undefined);

      freeze("--freeze");
      const statuses = await statusesFor(STALLED_SECONDS).finally(() => freeze("--unfreeze"));

      expectAll200(statuses);
      await expectEverything(await load.stop());
    },
  );

  itOnDisk("is read-only for a while, with the same result", async () => {
    const load = startLoad();
    await sleep(2_000);

    disk?.readOnly(true);
    await named("audit log: EROFS");
    await sleep(READ_ONLY_MS);
    disk?.readOnly(false);
    await named(undefined);

    await expectEverything(await load.stop());
  });

  itOnDisk("is full when the logger starts, which waits and goes on where it was", async () => {
    const load = startLoad();
    await sleep(1_000);

    disk?.fill();
    await system.services.logger.end("SIGKILL");
    await system.restart("logger");
    await named("audit log: ENOSPC");
    disk?.free();
    await named(undefined);

    await expectEverything(await load.stop());
  });
});

describe("a second logger on the same directory under load", () => {
  it("waits, takes over when the first is killed, and each event is there once", async () => {
    const load = startLoad();
    const env = {
      AMQP_URL: system.amqp,
      AUDIT_DIR: system.auditDir,
      INTERNAL_HOST: "127.0.0.1",
      INTERNAL_PORT: "0",
    };
    const second = await spawnService("logger", env, disk?.enter);
    const waiting = async () => {
      const { reasons } = (await (await fetch(`${second.admin}/readyz`)).json()) as Ready;
      return reasons.includes("writer lock: another writer holds the directory");
    };
    await waitFor("the second waits", waiting);
    await sleep(2_000);
    expect(await waiting()).toBe(true);

    await system.services.logger.end("SIGKILL");
    await second.ready();

    await expectEverything(await load.stop(), second.process.exitCode);
    await second.end("SIGKILL");
  });
});

/** Stalls the disk, or ends that: every write to it waits meanwhile. */
function freeze(how: "--freeze" | "--unfreeze"): void {
  if (!disk) return;
  const [command = "", ...options] = disk.enter;
  execFileSync(command, [...options, "fsfreeze", how, disk.directory]);
}

/** The statuses of all pages of the logger's metrics port, each second. */
async function statusesFor(seconds: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let second = 0; second < seconds; second++) {
    for (const path of ["healthz", "readyz", "metrics"]) statuses.push(await statusOf(path));
    await sleep(1_000);
  }
  return statuses;
}

function expectAll200(statuses: readonly number[]): void {
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
}

/** The status of the logger's metrics port; the bound only keeps a test that fails from waiting for the disk. */
async function statusOf(path: string): Promise<number> {
  const signal = AbortSignal.timeout(5_000);
  return (await fetch(`${system.services.logger.admin}/${path}`, { signal })).status;
}

interface Ready {
  reasons: string[];
}

/** Resolves when the logger's readiness names that trouble with the audit log, or none. */
async function named(reason: string | undefined): Promise<void> {
  await waitFor(
    `readiness names ${reason ?? "no trouble"}\n${system.services.logger.output().slice(-2_000)}`,
    async () => {
      const response = await fetch(`${system.services.logger.admin}/readyz`);
      const { reasons } = (await response.json()) as Ready;
      const troubles = reasons.filter((each) => /audit log|ledger/.test(each));
      return reason === undefined ? troubles.length === 0 : troubles.includes(reason);
    },
    30_000,
  );
}

/** Four clients that send on and on. */
function startLoad(): { stop: () => Promise<Answer[]> } {
  const answers: Answer[] = [];
  let going = true;
  const client = async () => {
    while (going) {
      answers.push(await system.send(emailNumber(answers.length)));
      await sleep(20);
    }
  };
  const clients = Array.from({ length: 4 }, client);
  return {
    stop: async () => {
      going = false;
      await Promise.all(clients);
      return answers;
    },
  };
}

async function expectEverything(
  answers: readonly Answer[],
  exit = system.services.logger.process.exitCode,
): Promise<void> {
  expect(answers.filter(({ status }) => status !== 202)).toEqual([]);
  const wanted = answers.map(({ id }) => id ?? "");
  const missing = (kind: string) => {
    const there = new Set(
      system
        .audit()
        .filter((line) => line.kind === kind)
        .map((line) => line.id),
    );
    return wanted.filter((id) => !there.has(id));
  };
  await waitFor("every event", () => missing("email.sent").length === 0, 30_000);
  expect(missing("email.accepted")).toEqual([]);
  expect(twice(system.audit().map(({ eventId }) => eventId))).toEqual([]);
  expect(twice(system.sink.taken.map(({ messageId }) => messageId))).toEqual([]);
  expect(exit).toBeNull();
  // No room is no fault of the ledger's: it need not be built anew.
  expect(system.services.logger.output()).not.toContain("ledger broken");
}
