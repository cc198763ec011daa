import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startBroker } from "../support/broker-process.ts";
import { type SmtpSink, startSink } from "@wellsent/testing";
import { allReady, sendMany, startSystem, twice, type System } from "../support/system.ts";

/**
 * Takes a relay away, or has it refuse the password, for minutes with thousands of emails waiting; prints what readiness says
 * meanwhile, and what became of the emails. Ends with status 1 when an attempt was consumed, something was lost or came
 * twice, or the first mail came 10 s after the trouble's end or later:
 * `node test/bench/outage.ts --count=20000 --seconds=600 --trouble=password`.
 */
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "20000" },
    seconds: { type: "string", default: "600" },
    trouble: { type: "string", default: "away" },
    docker: { type: "boolean", default: false },
  },
});
const COUNT = Number(values.count);
const FIRST_WITHIN_MS = 10_000;
/** As it is by default: an attempt that is consumed would show. */
const env = { RETRY_LADDER: "10s,1m,10m,1h" };

const dir = mkdtempSync(join(tmpdir(), "wellsent-bench-"));
const broker = await startBroker({ dir, inDocker: values.docker });
const { system, end } = await (values.trouble === "password" ? refusedPassword() : away());
const began = Date.now();
const answers = await sendMany(system, COUNT, 16);
const accepted = answers.filter(({ status }) => status === 202).length;
console.log(`${accepted} accepted`);
while (Date.now() - began < Number(values.seconds) * 1_000) {
  console.log(await reasons(system));
  await sleep(60_000);
}
const ended = Date.now();
const sink = await end();
while (sink.taken.length === 0) await sleep(10);
const firstMs = Date.now() - ended;
const sent = await system.audited("email.sent", accepted, 900_000);
const faults = {
  "first mail after ms": firstMs < FIRST_WITHIN_MS ? 0 : firstMs,
  "not accepted": COUNT - accepted,
  lost: new Set(answers.map(({ id }) => id)).difference(new Set(sent.map(({ id }) => id))).size,
  "came twice": twice(sink.taken.map(({ messageId }) => messageId)).length,
  "consumed an attempt": sent.filter(({ attempt }) => attempt !== 1).length,
  "deferred, failed or parked": system
    .audit()
    .filter(({ kind }) => kind !== "email.accepted" && kind !== "email.sent").length,
};
const seconds = Math.round((Date.now() - ended) / 1_000);
console.log(
  `first mail ${firstMs} ms after the trouble's end, all ${sent.length} after ${seconds} s`,
);
console.log(faults, `flagged: ${sent.filter(({ possibleDuplicate }) => possibleDuplicate).length}`);
process.exitCode = Object.values(faults).some((count) => count > 0) ? 1 : 0;
await system.stop();
await sink.close();
await broker.end();
rmSync(dir, { recursive: true, force: true });

/** What a trouble is: the system that has it, and how it ends. */
interface Trouble {
  system: System;
  end: () => Promise<SmtpSink>;
}

async function away(): Promise<Trouble> {
  const system = await startSystem({ amqp: broker.url, env });
  await allReady(system);
  const { port } = system.sink;
  await system.sink.close();
  return { system, end: () => startSink({ port }) };
}

async function refusedPassword(): Promise<Trouble> {
  const file = join(dir, "password");
  writeFileSync(file, "wrong\n");
  const sink = await startSink({ password: "right" });
  const SMTP_URLS = `smtp://wellsent@127.0.0.1:${sink.port}?passwordFile=${file}`;
  const system = await startSystem({ amqp: broker.url, env: { ...env, SMTP_URLS } });
  await allReady(system);
  const end = () => {
    writeFileSync(file, "right\n");
    return Promise.resolve(sink);
  };
  return { system, end };
}

async function reasons({ services: { emailer } }: System): Promise<string> {
  const ready = await fetch(`${emailer.admin}/readyz`);
  return `${ready.status} ${await ready.text()}`;
}
