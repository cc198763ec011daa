import type { SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { NODE_FLAGS } from "./node-flags.ts";
import { end, freePort, logIn, spawnLeashed, startBroker, type Part } from "./broker.ts";

const HOME = join(import.meta.dirname, "../.posthorn");
const RUN_FILE = join(HOME, "run.json");
const MAILDEV = fileURLToPath(new URL("bin/maildev.js", import.meta.resolve("maildev")));
/** Where things are, unless a port is taken. */
const PREFERRED = {
  api: "http://127.0.0.1:8080",
  apiAdmin: "http://127.0.0.1:9464",
  emailerAdmin: "http://127.0.0.1:9474",
  loggerAdmin: "http://127.0.0.1:9484",
  inbox: "http://127.0.0.1:1080",
  smtp: "smtp://127.0.0.1:1025",
};
const STOP_ORDER = [["api", "emailer", "logger"], ["maildev"], ["rabbitmq"]];
/** How long a service may finish what is in flight: Ctrl-C promises that all is gone within 10 s. */
const DRAIN_MS = 7_000;
/** A service that has not gone by then is killed. */
const GRACE_MS = 7_500;
/** And every part that has not gone by then, but for a moment that a broker needs at least. */
const ALL_GONE_MS = 9_500;
const LEAST_GRACE_MS = 1_000;
/** A part that lived this long was well: the pauses before its restarts begin anew. */
const WELL_MS = 60_000;
/** EX_CONFIG of sysexits.h: a restart would end the same way. */
const EXIT_CONFIG = 78;
/** One Ctrl-C comes twice, from the terminal and from npm, which passes it on. */
const SAME_SIGNAL_MS = 500;

const say = sayAs("posthorn");
const running = new Map<string, Part>();
let places: object | undefined;
let stoppingSince: number | undefined;

process.chdir(join(HOME, ".."));
takeHome();
// Ctrl-C ends a `| tee` before us; the services are to drain all the same.
process.stdout.on("error", () => undefined);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, onSignal);
await start().catch(giveUp);

async function start(): Promise<void> {
  const began = Date.now();
  const { inbox, smtp, ...at } = await choosePlaces();
  const options = { dir: join(HOME, "rabbitmq"), port: await freePort(), onStep: say };
  const { url: amqp } = await keep("rabbitmq", () => startBroker(options));
  const relays = process.env["SMTP_URLS"];
  if (!relays) await startInbox(smtp, inbox);
  const mail = relays ? { smtp: relays } : { smtp, inbox };
  const everything = { ...at, ...mail, amqp, audit: join(HOME, "audit") };
  await startServices(everything);
  places = everything;
  writeRunFile();
  console.log(`
  Ready after ${Math.round((Date.now() - began) / 1_000)} s. Ctrl-C ends everything and keeps the data.

  API       ${at.api}
  Inbox     ${relays ? "none: mail leaves through SMTP_URLS" : inbox}
  Audit     ${everything.audit}
  Metrics   ${at.apiAdmin}/metrics, also :${portOf(at.emailerAdmin)} and :${portOf(at.loggerAdmin)}
  RabbitMQ  amqp://${new URL(amqp).host}

  curl -i ${at.api}/send -H 'Content-Type: application/json' \\
    -d '{"toaddr": "ada@example.com", "subject": "Hello", "body": "It works."}'
`);
}

async function choosePlaces(): Promise<typeof PREFERRED> {
  const at = { ...PREFERRED };
  for (const [name, url] of Object.entries(PREFERRED)) {
    const port = await freePort(Number(portOf(url)));
    Object.assign(at, { [name]: url.replace(portOf(url), String(port)) });
    if (String(port) !== portOf(url)) say(`Port ${portOf(url)} is taken; ${name} gets ${port}`);
  }
  return at;
}

async function startInbox(smtp: string, inbox: string): Promise<void> {
  say("Starting the inbox (MailDev)");
  const { hostname: host, port } = new URL(inbox);
  const listen = ["--ip", host, "--smtp", portOf(smtp), "--web-ip", host, "--web", port];
  const args = [MAILDEV, ...listen, "--mail-directory", join(HOME, "inbox")];
  await startPart("maildev", args, logIn(HOME, "maildev.log"), `${inbox}/api/healthz`);
}

type Places = Omit<typeof PREFERRED, "inbox"> & { amqp: string; audit: string };

async function startServices(at: Places): Promise<void> {
  say("Starting api, emailer and logger");
  const { hostname: host, port } = new URL(at.api);
  const shared = {
    MAIL_FROM: "Posthorn <posthorn@localhost.localdomain>",
    LOG_FORMAT: process.stdout.isTTY ? "pretty" : "json",
    ...process.env,
    AMQP_URL: at.amqp,
    METRICS_HOST: host,
    SHUTDOWN_DEADLINE_MS: String(DRAIN_MS),
  };
  const service = (name: string, admin: string, own: NodeJS.ProcessEnv) => {
    const env = { ...shared, METRICS_PORT: portOf(admin), ...own };
    const options: SpawnOptions = { env, stdio: ["ignore", "pipe", "pipe"] };
    return startPart(
      name,
      [...NODE_FLAGS, `services/${name}/src/main.ts`],
      options,
      `${admin}/readyz`,
    );
  };
  const access = process.env["API_KEYS_FILE"] ? {} : { API_ANONYMOUS: "true" };
  await Promise.all([
    service("api", at.apiAdmin, { HTTP_HOST: host, HTTP_PORT: port, ...access }),
    service("emailer", at.emailerAdmin, { SMTP_URLS: at.smtp }),
    service("logger", at.loggerAdmin, { AUDIT_DIR: at.audit }),
  ]);
}

/** Starts a Node program, keeps it running and resolves once `health` is answered with a 2xx. */
async function startPart(name: string, args: string[], options: SpawnOptions, health: string) {
  await keep(name, () => {
    const child = spawnLeashed([process.execPath, ...args], options);
    for (const output of [child.stdout, child.stderr]) {
      if (output) createInterface(output).on("line", sayAs(name));
    }
    const ended = once(child, "exit").then(([status]: unknown[]) => status);
    return Promise.resolve({ pid: child.pid, ended, kill: (signal) => child.kill(signal) });
  });
  while (!(await fetch(health).catch(() => undefined))?.ok) await sleep(100);
}

/** Starts a part, and again whenever it ends by itself. */
async function keep<P extends Part>(name: string, begin: () => Promise<P>, pauseMs = 1_000) {
  const part = await begin();
  const began = Date.now();
  running.set(name, part);
  writeRunFile();
  void part.ended.then((status) => {
    if (stoppingSince) return;
    running.delete(name);
    writeRunFile();
    if (status === EXIT_CONFIG) giveUp(new Error(`${name} refuses its configuration.`));
    else void restart(name, begin, Date.now() - began > WELL_MS ? 1_000 : pauseMs);
  });
  return part;
}

async function restart(name: string, begin: () => Promise<Part>, pauseMs: number): Promise<void> {
  say(`${name} ended by itself; it is started again in ${pauseMs / 1_000} s`);
  await sleep(pauseMs);
  const longer = Math.min(2 * pauseMs, 30_000);
  if (!stoppingSince) await keep(name, begin, longer).catch(() => restart(name, begin, longer));
}

/** Once all is ready, says where it is. Replaced as a whole, so that nobody reads half of it. */
function writeRunFile(): void {
  if (!places) return;
  const pids = Object.fromEntries([...running].map(([name, { pid }]) => [name, pid]));
  const text = JSON.stringify({ ...places, pids }, undefined, 2);
  writeFileSync(`${RUN_FILE}.new`, `${text}\n`, { mode: 0o600 });
  renameSync(`${RUN_FILE}.new`, RUN_FILE);
}

/** Makes .posthorn/ ours alone. SQLite's lock on a file goes with the process, however that ends. */
function takeHome(): void {
  mkdirSync(HOME, { recursive: true });
  const lock = new DatabaseSync(join(HOME, "lock"));
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch {
    console.error(`Posthorn runs here already; ${RUN_FILE} says where.`);
    process.exit(1);
  }
  const old = process.argv.includes("--fresh") ? readdirSync(HOME) : ["run.json"];
  for (const name of old.filter((name) => !name.startsWith("lock"))) {
    rmSync(join(HOME, name), { recursive: true, force: true });
  }
  process.once("exit", () => {
    rmSync(RUN_FILE, { force: true });
    lock.close();
  });
}

function onSignal(): void {
  if (!stoppingSince) void stop(0);
  // The leashes end what still runs.
  else if (Date.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(1);
}

function giveUp(error: unknown): void {
  say(error instanceof Error ? error.message : String(error));
  void stop(1);
}

async function stop(status: number): Promise<void> {
  if (stoppingSince) return;
  stoppingSince = Date.now();
  say("Stopping: what is in flight is finished first; Ctrl-C again ends it at once");
  for (const names of STOP_ORDER) {
    const parts = names.flatMap((name) => running.get(name) ?? []);
    const left = Math.max(LEAST_GRACE_MS, stoppingSince + ALL_GONE_MS - Date.now());
    await Promise.all(parts.map((part) => end(part, Math.min(GRACE_MS, left))));
  }
  process.exit(status);
}

function sayAs(who: string): (text: string) => void {
  return (text) => {
    console.log(`${styleText("cyan", who.padEnd(8))} ${text}`);
  };
}

function portOf(url: string): string {
  return new URL(url).port;
}
