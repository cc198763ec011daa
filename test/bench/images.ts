/**
 * What each image adds to its base, how soon a container of it is ready, and what it holds when idle, as docs/images.md has
 * it: `npm run images && npm run bench:images`.
 */
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/broker-process.ts";

const BASE = "gcr.io/distroless/nodejs24-debian12:nonroot";
const VERSION = process.env["npm_package_version"] ?? "dev";
const STARTS = 9;
const IDLE_MS = 60_000;
/** One that is not ready by then never is. */
const READY_MAX_MS = 60_000;
const HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
/** Of the container's own, for the logger. */
const VOLUME = "--volume=/var/lib/wellsent";
const ENV = [
  // The user of the broker's image, who may log in from anywhere.
  "AMQP_URL=amqp://guest:guest@rabbitmq",
  "API_ANONYMOUS=true",
  "MAIL_FROM=wellsent@example.com",
  // Nothing is sent, so nothing need listen there.
  "SMTP_URLS=smtp://relay.invalid",
  "AUDIT_DIR=/var/lib/wellsent",
].flatMap((variable) => ["-e", variable]);

const network = `wellsent-bench-${randomUUID().slice(0, 8)}`;
docker("network", "create", network);
try {
  run("rabbitmq", "-u", "999:999", "rabbitmq:4.3-management");
  console.log("image             size          over base     ready after   RSS, idle");
  for (const name of ["api", "emailer", "logger"]) await measure(`wellsent-${name}`);
} finally {
  const containers = docker("ps", "-aq", "--filter", `network=${network}`);
  if (containers) docker("rm", "-fv", ...containers.split("\n"));
  docker("network", "rm", network);
}

async function measure(name: string): Promise<void> {
  const image = `${name}:${VERSION}`;
  // Not counted: it waits for the broker, and the disk reads the image for the first time.
  remove((await start(name, image)).name);
  const starts: number[] = [];
  while (starts.length < STARTS) {
    const { tookMs } = await start(name, image);
    starts.push(tookMs);
    remove(name);
  }
  const { url } = await start(name, image);
  await sleep(IDLE_MS);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  remove(name);
  const rss = Number(/^process_resident_memory_bytes\S* (\S+)$/m.exec(metrics)?.[1]);
  const size = sizeOf(image);
  const ready = `${Math.round(median(starts))} ms`;
  const cells = [megabytes(size), megabytes(size - sizeOf(BASE)), ready, megabytes(rss)];
  console.log([name.padEnd(18), ...cells.map((cell) => cell.padEnd(14))].join(""));
}

/** Starts a container and waits until it is ready; the time is that since its process began. */
async function start(name: string, image: string) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  run(name, ...HARDENED, VOLUME, "-p", `127.0.0.1:${port}:9464`, ...ENV, image);
  const answers = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  const until = Date.now() + READY_MAX_MS;
  while (!(await answers())) {
    if (Date.now() > until) throw new Error(`${name}: ${docker("logs", `${network}-${name}`)}`);
    await sleep(5);
  }
  const readyAt = Date.now();
  const began = docker("inspect", "-f", "{{.State.StartedAt}}", `${network}-${name}`);
  return { name, url, tookMs: readyAt - Date.parse(began) };
}

function run(name: string, ...args: string[]): void {
  docker(
    "run",
    "-d",
    "--name",
    `${network}-${name}`,
    "--net",
    network,
    "--net-alias",
    name,
    ...args,
  );
}

function remove(name: string): void {
  docker("rm", "-fv", `${network}-${name}`);
}

function sizeOf(image: string): number {
  return Number(docker("image", "inspect", "-f", "{{.Size}}", image));
}

function docker(...args: string[]): string {
  return execFileSync("docker", args, { encoding: "utf8" }).trim();
}

function median(numbers: number[]): number {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
