import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startBroker } from "../support/broker-process.ts";
import { probe } from "@wellsent/testing";
import { allReady, sendMany, startSystem, twice, type Answer } from "../support/system.ts";

/**
 * Parks so many by MAX_ATTEMPTS against a 451 and as many by a refused sender, looks at the list, kills passes that want
 * none of them, and then, the relay having changed its mind, replays all while it kills the logger, the emailer or the broker
 * in the middle, and counts what the relay took. Ends with status 1 unless each was taken once:
 * `node test/bench/parked.ts --count=10000 --looks=100 --passes=30 --kills=5 --kill=logger`.
 */
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "10000" },
    looks: { type: "string", default: "100" },
    passes: { type: "string", default: "30" },
    kills: { type: "string", default: "5" },
    kill: { type: "string", default: "logger" },
    docker: { type: "boolean", default: false },
  },
});
const COUNT = Number(values.count);
const ALL = 2 * COUNT;
const KILLS = Number(values.kills);
const NOTHING = { filter: { reason: "CRASHED" } };

const dir = mkdtempSync(join(tmpdir(), "wellsent-bench-"));
let broker = await startBroker({ dir, inDocker: values.docker });
let refusal: "rcpt" | "mail" | undefined = "rcpt";
const system = await startSystem({
  amqp: broker.url,
  env: { MAX_ATTEMPTS: "2", RETRY_LADDER: "1s" },
  rule: () => (refusal === "rcpt" ? 451 : undefined),
  refuseSender: () => (refusal === "mail" ? 550 : undefined),
});
await allReady(system);

const deferred = await park("451 at RCPT, twice");
refusal = "mail";
const refused = await park("550 at MAIL");
const ids = [...deferred, ...refused].map(({ id }) => String(id));
const before = await counts();

for (let look = 0; look < Number(values.looks); look += 1) {
  const { body } = await system.internal("GET", "/parked?limit=1000&reason=SENDER_REFUSED");
  if (body["total"] !== COUNT) fail(`look ${look} found ${String(body["total"])}`);
}
for (let pass = 0; pass < Number(values.passes); pass += 1) {
  await system.internal("POST", "/parked/delete", NOTHING);
  await sleep(20 * pass);
  await kill("logger");
}
await settled();
const after = await counts();
console.log(
  `${values.looks} looks and ${values.passes} killed passes: ${before} before, ${after} after`,
);
if (after !== before) fail("the count has changed");

refusal = undefined;
const began = Date.now();
for (let times = 1; times <= KILLS; times += 1) {
  await begin({ all: true });
  let at = await progress();
  while (at["state"] === "running" && Number(at["done"]) < ALL / 2 / KILLS) at = await progress();
  await kill(values.kill);
  console.log(
    `killed the ${values.kill} with ${system.sink.taken.length} taken, in a pass: ${JSON.stringify(at)}`,
  );
}
let last = await wholePass();
while (last["left"] !== 0 && Date.now() - began < 900_000) {
  console.log(`left: ${JSON.stringify(last)}`);
  await sleep(10_000);
  last = await wholePass();
}
for (let since = Date.now(); system.sink.taken.length < ALL && Date.now() - since < 60_000;) {
  await sleep(200);
}
await sleep(3_000);

const taken = system.sink.taken.map(({ messageId }) => messageId);
const missing = new Set(ids).difference(new Set(taken)).size;
const doubled = twice(taken);
const sent = system.audit().filter(({ kind }) => kind === "email.sent");
const flagged = sent.filter(({ possibleDuplicate }) => possibleDuplicate);
const unflagged = doubled.filter((id) => !flagged.some((line) => line.id === id));
const seconds = Math.round((Date.now() - began) / 1_000);
console.log(
  `${ALL} parked, replayed in ${seconds} s: ${taken.length} taken, ${missing} missing, ${doubled.length} twice, ` +
    `${unflagged.length} of them not flagged, ${flagged.length} flagged; ${await counts()} parked`,
);
if (missing > 0 || doubled.length > 0 || (await counts()) !== "0 listed, 0 in the queue") {
  fail("not each was sent once");
}
await system.stop();
await broker.end();
rmSync(dir, { recursive: true, force: true });

async function park(how: string): Promise<Answer[]> {
  const start = await total();
  const answers = await sendMany(system, COUNT, 32);
  const accepted = answers.filter(({ status }) => status === 202);
  if (accepted.length !== COUNT) fail(`only ${accepted.length} accepted`);
  while ((await total()) < start + COUNT) await sleep(200);
  console.log(`${COUNT} parked: ${how}`);
  return answers;
}

async function total(): Promise<number> {
  return Number((await system.internal("GET", "/parked?limit=1")).body["total"]);
}

async function counts(): Promise<string> {
  const look = await probe(broker.url);
  const queued = (await look.depth("emailer.parked")) + (await look.depth("emailer.parked.pass"));
  await look.close();
  return `${await total()} listed, ${queued} in the queue`;
}

async function settled(): Promise<void> {
  await wholePass(NOTHING, "delete");
  await sleep(3_000);
}

async function kill(what: string): Promise<void> {
  if (what === "broker") {
    await broker.kill("SIGKILL");
    await broker.ended;
    broker = await startBroker({ dir, port: Number(new URL(broker.url).port) });
    while ((await progress())["state"] === "running") await sleep(100);
  } else {
    const name = what === "emailer" ? "emailer" : "logger";
    await system.services[name].end("SIGKILL");
    await system.restart(name);
    await system.services[name].ready();
  }
  await allReady(system);
}

async function begin(selection: object, action = "replay"): Promise<void> {
  for (;;) {
    const { status, body } = await system.internal("POST", `/parked/${action}`, selection);
    if (status === 202) return;
    if (body["code"] !== "BROKER_AWAY" && body["code"] !== "PASS_RUNNING") {
      fail(`no pass: ${JSON.stringify(body)}`);
    }
    await sleep(100);
  }
}

async function progress(): Promise<Record<string, unknown>> {
  return (await system.internal("GET", "/parked/pass")).body;
}

async function wholePass(selection: object = { all: true }, action = "replay") {
  await begin(selection, action);
  while ((await progress())["state"] === "running") await sleep(100);
  return progress();
}

function fail(why: string): void {
  console.error(`FAILED: ${why}`);
  process.exitCode = 1;
}
