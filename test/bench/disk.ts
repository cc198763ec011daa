import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { connect } from "amqplib";
import { EMAILS_EXCHANGE, topology } from "@wellsent/contract";
import { declare } from "@wellsent/amqp";
import { startBroker } from "../support/broker-process.ts";

/**
 * Publishes so many emails of so many bytes that nobody consumes, and prints what the broker's volume grew by, beside what
 * the formula of docs/sizing.md says: `node test/bench/disk.ts --count=50000 --bytes=20000 --docker`.
 */
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "50000" },
    bytes: { type: "string", default: "20000" },
    docker: { type: "boolean", default: false },
  },
});
const COUNT = Number(values.count);
const BODY = Buffer.alloc(Number(values.bytes), "x");
const WINDOW = 200;
/** Accepted emails lie in `emailer` and in `logger`. */
const QUEUES = 2;

const dir = mkdtempSync(join(tmpdir(), "wellsent-bench-"));
const broker = await startBroker({ dir, inDocker: values.docker });
const connection = await connect(broker.url);
const channel = await connection.createConfirmChannel();
await declare(channel, topology());
const before = used();
for (let sent = 0; sent < COUNT; sent += WINDOW) {
  for (let each = 0; each < WINDOW; each += 1) {
    channel.publish(EMAILS_EXCHANGE, "", BODY, { persistent: true });
  }
  await channel.waitForConfirms();
}
const stored = COUNT * BODY.length * QUEUES;
const grown = used() - before;
console.log("emails   bytes each   in two queues   on disk   factor");
const cells = [COUNT, BODY.length, mega(stored), mega(grown), (grown / stored).toFixed(2)];
console.log(cells.map((cell, index) => String(cell).padEnd([9, 13, 16, 10][index] ?? 0)).join(""));
await connection.close();
await broker.end();
rmSync(dir, { recursive: true, force: true });

/** Bytes of the volume that are taken. */
function used(): number {
  return Number(execFileSync("du", ["-s", "-B1", dir], { encoding: "utf8" }).split("\t")[0]);
}

function mega(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
