import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import { FlowControl } from "@wellsent/amqp";
import { SingleFlight } from "@wellsent/runtime";
import { createFakeLog, seeded } from "@wellsent/testing";
import type { AuditLine } from "../src/audit/line.ts";
import { GroupCommit } from "../src/audit/group-commit.ts";
import { ForgetfulDisk, type Life, type Skipped } from "./forgetful-disk.ts";
import { auditLog, eventsOf, filesOf, line, temporaryDirectory, testMetrics } from "./support.ts";

const EVENTS = 60;
const LIVES = 5;
/** Of the event loop: a life ends anywhere from before its first write to after its last. */
const TURNS = 300;
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed + 1);

/** What was acknowledged in a row of lives, each ended at a random moment, and the disk at their end. */
interface Trial {
  acknowledged: Set<string>;
  directory: string;
}

describe("an acknowledged event", () => {
  it("is on disk, once, after any row of kills and power cuts", async () => {
    for (const seed of SEEDS) {
      const trial = await run(seed);

      const events = eventsOf(trial.directory);
      expect({ seed, lost: lostOf(trial) }).toEqual({ seed, lost: [] });
      expect({ seed, events: events.length }).toEqual({ seed, events: new Set(events).size });
    }
  });

  it.each<[string, Skipped]>([
    ["fdatasync", "datasync"],
    ["the sync of the directory", "sync"],
  ])("is lost without %s: the test before this one can fail", async (_, skipped) => {
    const lost: string[] = [];
    for (const seed of SEEDS) lost.push(...lostOf(await run(seed, skipped)));

    expect(lost).not.toEqual([]);
  });
});

/** As a broker and the logger do: what was not acknowledged in one life is handed over again in the next. */
async function run(seed: number, skipped?: Skipped): Promise<Trial> {
  const random = seeded(seed).next;
  const disk = new ForgetfulDisk(temporaryDirectory(), random, skipped);
  const acknowledged = new Set<string>();
  for (let lives = 1; lives <= LIVES; lives++) {
    const life = disk.begin();
    const ended = live(life, acknowledged);
    await turns(Math.floor(random() * TURNS));
    life.alive = false;
    if (lives === LIVES || random() < 0.5) disk.cut();
    await ended();
  }
  await auditLog(disk.directory, { open: disk.begin().open }).open();
  return { acknowledged, directory: disk.directory };
}

/** One life of a logger; the function that it gives waits until nothing of it is left. */
function live(life: Life, acknowledged: Set<string>): () => Promise<void> {
  const events = new SingleFlight<void>(10_000, () => undefined);
  const seen = (lines: readonly AuditLine[]) => {
    for (const { eventId } of lines) events.add(eventId);
  };
  const { directory, open } = life;
  const commit = new GroupCommit({
    store: auditLog(directory, { fileMaxBytes: 4_000, seen, open }),
    ledger: { add: () => Promise.resolve() },
    flow: new FlowControl(),
    metrics: testMetrics(),
    log: createFakeLog(),
  });
  const record = async (id: string) => {
    const write = () => new Promise<void>((stands) => commit.append(line(id), stands));
    await events.runOnce(id, write);
    // The dead acknowledge nothing.
    if (life.alive) acknowledged.add(id);
  };
  const delivering = commit.start().then(async () => {
    const left = Array.from({ length: EVENTS }, (_, event) => `event ${event}`);
    for (const id of left.filter((each) => !acknowledged.has(each))) {
      void record(id);
      await nextTurn();
    }
  });
  return async () => {
    await commit.stop();
    await delivering;
  };
}

function lostOf({ acknowledged, directory }: Trial): string[] {
  const texts = filesOf(directory).map((name) => readFileSync(join(directory, name), "utf8"));
  const text = texts.join("");
  return [...acknowledged].filter((id) => !text.includes(`"${id}"`));
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}
