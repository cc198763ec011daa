import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startBroker } from "../support/broker-process.ts";
import { allReady, sendMany, startSystem, type Name, type System } from "../support/system.ts";

/**
 * Prints the peak of resident memory of emailer and logger, started with large emails waiting for them: with a relay that
 * takes its time over each mail, and with one that refuses each mail three times, on a ladder of a few seconds. Ends with
 * status 1 when a peak is over the limit: `node test/bench/large.ts --count=200 --bytes=1048576 --limit=200`.
 */
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "200" },
    bytes: { type: "string", default: "1048576" },
    limit: { type: "string", default: "200" },
  },
});
const COUNT = Number(values.count);
const LIMIT_MIB = Number(values.limit);
const SLOW_MS = 1_000;
const ATTEMPTS = 4;
const BODY = "A line of the body.\n".repeat(Number(values.bytes)).slice(0, Number(values.bytes));
const CONSUMERS: readonly Name[] = ["emailer", "logger"];

const dir = mkdtempSync(join(tmpdir(), "wellsent-bench-"));
const broker = await startBroker({ dir });
const peaks = {
  "slow relay": await withWaiting(await startSystem({ amqp: broker.url, delayMs: SLOW_MS })),
  ladder: await withWaiting(await refusing()),
};
console.log(`${COUNT} emails of ${values.bytes} bytes; peaks of resident memory in MiB:`, peaks);
const isOver = Object.values(peaks).some((peak) =>
  CONSUMERS.some((name) => peak[name] > LIMIT_MIB),
);
process.exitCode = isOver ? 1 : 0;
await broker.end();
rmSync(dir, { recursive: true, force: true });

function refusing(): Promise<System> {
  const offers = new Map<string, number>();
  const rule = (address: string) => {
    const offer = (offers.get(address) ?? 0) + 1;
    offers.set(address, offer);
    return offer < ATTEMPTS ? 451 : undefined;
  };
  return startSystem({ amqp: broker.url, rule, env: { RETRY_LADDER: "1s,2s,3s,4s" } });
}

async function withWaiting(system: System): Promise<Record<Name, number>> {
  await allReady(system);
  for (const name of CONSUMERS) await system.services[name].end("SIGTERM");
  const answers = await sendMany(system, COUNT, 4, (number) => ({
    toaddr: `user${number}@example.com`,
    subject: "Large",
    body: BODY,
  }));
  if (answers.some(({ status }) => status !== 202)) throw new Error("an email was not accepted");
  for (const name of CONSUMERS) await system.restart(name);
  await system.audited("email.sent", COUNT, 900_000);
  await sleep(1_000);
  const { api, emailer, logger } = system.services;
  const peak = {
    api: peakOf(api.process.pid),
    emailer: peakOf(emailer.process.pid),
    logger: peakOf(logger.process.pid),
  };
  await system.stop();
  return peak;
}

/** The peak of the resident set as the kernel counts it, in MiB. */
function peakOf(pid: number | undefined): number {
  const [, kilobytes] =
    /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? 0}/status`, "utf8")) ?? [];
  return Math.round(Number(kilobytes) / 1_024);
}
