import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "@wellsent/testing";
import { mountSmallDisk, whyNoSmallDisk } from "../support/small-disk.ts";
import { balance } from "./books.ts";
import { inFlight, killsOf, otherFaults, type Context } from "./faults.ts";
import { histories } from "./history.ts";
import { Load } from "./load.ts";
import { readOptions } from "./options.ts";
import { Pulse } from "./pulse.ts";
import { countKills, describeStrike, KILLS_WANTED, summarize, type Struck } from "./report.ts";
import { breakCopy, copySources, judgeSabotage } from "./sabotage.ts";
import { createSchedule } from "./schedule.ts";
import { ChaosSystem, EMAILERS, PROCESSES } from "./system.ts";

/** The clients wait while the emailer has more than so much to do. */
const BACKLOG_MAX = 3_000;
/** A system that does not work again by then never does. */
const RECOVERY_MS = 60_000;
const LOOK_MS = 20;
/** The audit log and the ledger take about three kilobytes for an email. */
const DISK_MEGABYTES = 2_000;
/** After the load: the backlog, the ladder's longest way, and what the last faults left. */
const DRAIN_MS = 180_000;
/** Nothing moved for so long: all is done. */
const QUIET_MS = 4_000;

const options = readOptions(process.argv.slice(2));
const { emails, rate, seed, seconds, sabotage } = options;
const directory = mkdtempSync(join(tmpdir(), "wellsent-chaos-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const root = sabotage ? join(directory, "sources") : process.cwd();
if (sabotage) {
  mkdirSync(root);
  copySources(process.cwd(), root);
  breakCopy(root, sabotage);
}
const repeat = Object.entries(options).flatMap(([name, value]) =>
  value === undefined ? [] : `--${name}=${value}`,
);
console.log(`npm run chaos -- ${repeat.join(" ")}`);

// A broker that is to be killed is one of our own.
delete process.env["AMQP_URL"];
const random = seeded(seed);
let keepsLogs = false;
const whyNoDisk = whyNoSmallDisk();
if (whyNoDisk) console.log(`NOT RUN: a disk that fills: ${whyNoDisk}.`);
const disk = whyNoDisk ? undefined : await mountSmallDisk(DISK_MEGABYTES);
const system = new ChaosSystem({ directory, root, disk }, random.fork());
// Services, broker and disk end with this process, because Linux ends them.
process.once("exit", () => {
  const names = readdirSync(directory);
  for (const name of names.filter((each) => !keepsLogs || !each.endsWith(".log"))) {
    rmSync(join(directory, name), { recursive: true, force: true, maxRetries: 3 });
  }
  if (!keepsLogs) rmSync(directory, { recursive: true });
});
await system.start();
const ended = () => system.relay.takes.length + system.relay.refused.size;
const load: Load = new Load(
  system.api,
  rate,
  random.fork(),
  () => load.counts.accepted - ended() < BACKLOG_MAX,
);
const context: Context = { system, load, random: random.fork() };
const hasDisk = system.disk !== undefined;
const others = otherFaults([...system.links.keys()], hasDisk);
const schedule = createSchedule(killsOf(hasDisk), others, random.fork());

const pulse = new Pulse();
const began = Date.now();
const struck: Struck[] = [];
load.start();
await sleep(2_000);
while (!isOver()) await strikeNext();
load.stop();
const stuck = await drain();

const { stories, ...findings } = await collect();
const stoodStillMs = pulse.stoodStillSince(began);
const brief = seconds !== undefined;
const summary = summarize({ ...findings, struck, stuck, stoodStillMs, brief });
console.log(summary.text);
if (stories !== "") console.log(stories);
keepsLogs = summary.status === 1 && !sabotage;
if (keepsLogs) console.log(`What the services printed is in ${directory}.`);
const caught = sabotage && judgeSabotage(sabotage, findings.sums);
if (caught) console.log(caught.text);
await system.stop();
load.close();
pulse.stop();
process.exit((caught ?? summary).status);

function isOver(): boolean {
  if (seconds !== undefined) return Date.now() - began > seconds * 1_000;
  const killed = PROCESSES.every((name) => countKills(struck, name) >= KILLS_WANTED);
  return killed && load.counts.accepted >= emails;
}

async function strikeNext(): Promise<void> {
  const faults = schedule.next().value;
  const counts = await Promise.all(
    faults.map((fault) => fault.strike({ ...context, random: context.random.fork() })),
  );
  const recoveryMs = await recovery();
  const now = faults.map(({ name, kills }, index) => {
    return { name, kills, inFlight: counts[index] ?? 0, recoveryMs };
  });
  struck.push(...now);
  console.log(describeStrike(now, struck.length, Date.now() - began));
  await sleep(context.random.whole(200, 1_200));
}

/** The system works again when a send is accepted, each emailer has a mail taken and the logger writes a line. */
async function recovery(): Promise<number | undefined> {
  const over = Date.now();
  const bytes = system.auditBytes();
  const works = () =>
    load.lastAcceptedAt > over &&
    EMAILERS.every((name) => (system.relay.lastTakes.get(name) ?? 0) > over) &&
    system.auditBytes() > bytes;
  const passed = () => Date.now() - over - pulse.stoodStillSince(over);
  while (!works()) {
    if (passed() > RECOVERY_MS) return undefined;
    await sleep(LOOK_MS);
  }
  return passed();
}

/** Waits until nothing is under way any more; resolves to what still is. */
async function drain(): Promise<number> {
  const deadline = Date.now() + DRAIN_MS;
  let quietSince = Date.now();
  let seen = "";
  for (;;) {
    const left = (await system.waiting().catch(() => 1)) + inFlight(context) + load.outstanding;
    const now = `${left} ${system.auditBytes()} ${system.relay.takes.length}`;
    if (now !== seen || left > 0) quietSince = Date.now();
    seen = now;
    if (Date.now() - quietSince > QUIET_MS) return 0;
    if (Date.now() > deadline) return left;
    await sleep(500);
  }
}

async function collect() {
  const { relay } = system;
  const evidence = {
    sent: load.sent,
    takes: relay.takes,
    refused: relay.refused,
    lines: system.auditLines(),
    parked: await system.parked(),
    confirmed: system.confirmed(),
    deaths: system.deaths(),
  };
  const sums = balance(evidence);
  return { sums, uncaught: system.uncaught(), stories: histories(sums, evidence) };
}
