import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startBroker } from "../support/broker-process.ts";
import { allReady, emailNumber, startSystem } from "../support/system.ts";

/**
 * Sends so many emails, so many a second, through the real system to a relay that answers 451 to each and takes it the next
 * time; prints how far the time between the two, by the relay's clock, is from the rung's. Ends with status 1 when one is
 * off by more than a tenth, or an email was not accepted: `node test/bench/retries.ts --count=20000 --rung=60 --rate=300`.
 */
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "20000" },
    rung: { type: "string", default: "60" },
    rate: { type: "string", default: "300" },
    docker: { type: "boolean", default: false },
  },
});
const COUNT = Number(values.count);
const RATE = Number(values.rate);
const RUNG_MS = Number(values.rung) * 1_000;
const TICK_MS = 20;
const SAY_MS = 30_000;

/** When the relay was asked to take each, first and second. */
const first = new Map<string, number>();
const second = new Map<string, number>();
let most = 0;
const dir = mkdtempSync(join(tmpdir(), "wellsent-bench-"));
const broker = await startBroker({ dir, inDocker: values.docker });
const env = { RETRY_LADDER: `${values.rung}s` };
const system = await startSystem({ amqp: broker.url, env, rule: refuseOnce });
await allReady(system);

const saying = setInterval(say, SAY_MS);
const answers = await sendAtRate();
const refused = answers.filter(({ status }) => status !== 202).length;
while (second.size < COUNT - refused) await sleep(TICK_MS);
clearInterval(saying);
say();
if (refused > 0) console.log(`${refused} not accepted`);

const late = Array.from(second, ([to, at]) => at - (first.get(to) ?? 0) - RUNG_MS);
late.sort((one, other) => one - other);
const at = (share: number) => Math.round(late[Math.floor(share * (late.length - 1))] ?? 0);
const off = Math.max(at(1), -at(0)) / RUNG_MS;
console.log("rung    most waiting   early    p50      p99      latest    of the rung's time");
const columns = [at(0), at(0.5), at(0.99), at(1)].map((ms) => `${ms} ms`.padStart(9)).join("");
const rung = `${values.rung} s`.padEnd(6);
console.log(`${rung}${String(most).padStart(14)}${columns}   ${(off * 100).toFixed(1)} %`);
console.log(`first attempts ${rateOf(first)} a second, second ones ${rateOf(second)}`);
process.exitCode = off > 0.1 || refused > 0 ? 1 : 0;
await system.stop();
await broker.end();
rmSync(dir, { recursive: true, force: true });

function refuseOnce(address: string): number | undefined {
  const isFirst = !first.has(address);
  (isFirst ? first : second).set(address, performance.now());
  most = Math.max(most, first.size - second.size);
  return isFirst ? 451 : undefined;
}

async function sendAtRate() {
  const sending: ReturnType<typeof system.send>[] = [];
  const began = performance.now();
  while (sending.length < COUNT) {
    const due = Math.min(COUNT, ((performance.now() - began) / 1_000) * RATE);
    while (sending.length < due) sending.push(system.send(emailNumber(sending.length)));
    await sleep(TICK_MS);
  }
  return Promise.all(sending);
}

function say(): void {
  console.log(`${first.size} refused for a while, ${second.size} of them taken`);
}

/** From the first to the last. */
function rateOf(times: ReadonlyMap<string, number>): number {
  const [from = 0, ...rest] = times.values();
  return Math.round((times.size / ((rest.at(-1) ?? from) - from)) * 1_000);
}
