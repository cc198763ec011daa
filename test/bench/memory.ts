import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBroker } from "../support/broker-process.ts";
import { allReady, sendMany, startSystem, type Name, type System } from "../support/system.ts";

/** Prints each service's memory after 10,000 and after 100,000 emails, and the ratio: `node test/bench/memory.ts [count]`. */
const LAST = Number(process.argv[2] ?? 100_000);
const FIRST = LAST / 10;
const NAMES: readonly Name[] = ["api", "emailer", "logger"];

const dir = mkdtempSync(join(tmpdir(), "wellsent-bench-"));
const broker = await startBroker({ dir });
const system = await startSystem({ amqp: broker.url });
await allReady(system);
const first = await after(system, FIRST, FIRST);
const last = await after(system, LAST, LAST - FIRST);
console.log(`service   RSS after ${FIRST}   after ${LAST}   ratio`);
for (const name of NAMES) {
  const ratio = (last[name] / first[name]).toFixed(2);
  console.log(`${name.padEnd(8)} ${megabytes(first[name])} ${megabytes(last[name])}   ${ratio}`);
}
await system.stop();
await broker.end();
rmSync(dir, { recursive: true, force: true });

async function after(on: System, total: number, count: number): Promise<Record<Name, number>> {
  const began = Date.now();
  await sendMany(on, count, 32);
  const seconds = (Date.now() - began) / 1_000;
  while ((await on.services.logger.metric("wellsent_audit_lines_total")) < 2 * total) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  console.log(
    `${count} emails accepted at ${Math.round(count / seconds)} a second, all sent and recorded`,
  );
  return Object.fromEntries(
    NAMES.map((name) => [name, rss(on.services[name].process.pid)]),
  ) as Record<Name, number>;
}

/** Resident set in kB, as the kernel counts it. */
function rss(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? 0}/status`, "utf8"))?.[1]);
}

function megabytes(kilobytes: number): string {
  return `${Math.round(kilobytes / 1_024)} MB`.padStart(16);
}
