import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { declare } from "@wellsent/amqp";
import { attemptQueues, EMAILER_QUEUE, ladder, topology } from "@wellsent/contract";
import { startBroker } from "../support/broker-process.ts";
import { joinTopologies, probe } from "@wellsent/testing";

/**
 * Sends so many messages down the ladder, rejecting at most so many a second as emailers would, and prints how far the time
 * from each rejection to the next attempt is from the rung's. Ends with status 1 when one is off by more than a tenth:
 * `node test/bench/ladder.ts --waiting=100000 --ladder=10,60 --rate=1500`.
 */
const { values } = parseArgs({
  options: {
    waiting: { type: "string", default: "100000" },
    ladder: { type: "string", default: "10,60" },
    rate: { type: "string", default: "1500" },
    docker: { type: "boolean", default: false },
  },
});
const WAITING = Number(values.waiting);
const RUNGS = values.ladder.split(",").map(Number);
const TICK_MS = 20;

const dir = mkdtempSync(joinPath(tmpdir(), "wellsent-bench-"));
const broker = await startBroker({ dir, inDocker: values.docker });
const publishing = await probe(broker.url);
await declare(publishing.channel, joinTopologies(topology(), ladder(RUNGS)));
for (let number = 0; number < WAITING; number += 1) {
  const properties = { messageId: String(number), persistent: true };
  publishing.channel.sendToQueue(EMAILER_QUEUE, Buffer.alloc(1_000, "x"), properties);
  if (number % 1_000 === 999) await publishing.channel.waitForConfirms();
}
await publishing.channel.waitForConfirms();

const queues = [EMAILER_QUEUE, ...attemptQueues(RUNGS.length)];
const times = queues.map(() => new Float64Array(WAITING));
const arrived = queues.map(() => 0);
const most = queues.map(() => 0);
const consuming = await probe(broker.url);
await consuming.channel.prefetch(200);
let allowance = 0;
const waiting: (() => void)[] = [];
for (const [step, queue] of queues.entries()) {
  await consuming.channel.consume(queue, (message) => {
    if (!message) throw new Error(`${queue} is gone`);
    const seen = times[step] as Float64Array;
    const settle = () => {
      seen[Number(message.properties.messageId)] = performance.now();
      arrived[step] = (arrived[step] ?? 0) + 1;
      const onRung = (arrived[step] ?? 0) - (arrived[step + 1] ?? 0);
      most[step] = Math.max(most[step] ?? 0, onRung);
      if (step < RUNGS.length) consuming.channel.reject(message, false);
      else consuming.channel.ack(message);
    };
    // What comes off the ladder is handled at once: its lateness is the ladder's alone.
    if (step > 0) settle();
    else waiting.push(settle);
  });
}
while ((arrived.at(-1) ?? 0) < WAITING) {
  await sleep(TICK_MS);
  allowance = Math.min(allowance + (Number(values.rate) * TICK_MS) / 1_000, Number(values.rate));
  for (const settle of waiting.splice(0, Math.floor(allowance))) {
    allowance -= 1;
    settle();
  }
}

console.log("rung    most waiting   early    p50      p99      latest    of the rung's time");
for (const [step, seconds] of RUNGS.entries()) {
  const late = Array.from(times[step + 1] ?? [], (at, number) => at - (times[step]?.[number] ?? 0))
    .map((wait) => wait - seconds * 1_000)
    .sort((one, other) => one - other);
  const at = (share: number) => late[Math.floor(share * (late.length - 1))] ?? 0;
  const off = Math.max(at(1), -at(0)) / seconds / 1_000;
  const columns = [at(0), at(0.5), at(0.99), at(1)].map((ms) => `${Math.round(ms)} ms`.padStart(9));
  console.log(
    `${seconds} s`.padEnd(6) +
      String(most[step]).padStart(14) +
      columns.join("") +
      `   ${(off * 100).toFixed(1)} %`,
  );
  if (off > 0.1) process.exitCode = 1;
}
await consuming.close();
await publishing.close();
await broker.end();
rmSync(dir, { recursive: true, force: true });
