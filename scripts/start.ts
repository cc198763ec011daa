import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect } from "amqplib";
import getPort from "get-port";
import { findBroker } from "./broker.ts";
import { NODE_FLAGS } from "./node-flags.ts";
import { endPart, leashed, startPart, type Program } from "./part.ts";

const HOME = join(import.meta.dirname, "../.wellsent");
const RUN_FILE = join(HOME, "run.json");
/** What opens the internal port, unless the environment names another. */
const TOKEN_FILE = join(HOME, "internal-token");
const MAILDEV = fileURLToPath(new URL("bin/maildev.js", import.meta.resolve("maildev")));
const HOST = "127.0.0.1";
const ADMIN = { apiAdmin: 9464, emailerAdmin: 9474, loggerAdmin: 9484 };
/** What listens where, or on the next free port. */
const PORTS = { api: 8080, ...ADMIN, internal: 9465, inbox: 1080, smtp: 1025, amqp: 12_000 };
/** A broker's own port, and those by which its programs find and talk to each other. */
const BROKER_OFFSETS = [0, 10_000, 20_000];
type Places = Record<keyof typeof PORTS | "audit" | "internalToken", string>;
const SERVICES = ["api", "emailer", "logger"] as const;
/** Ctrl-C promises that all is gone within 10 s: the services by half of it, then what they used. */
const GRACE_MS = 4_700;
const DRAIN_MS = 4_500;
const RESTART_MS = 1_000;

const say = (text: string): void => console.log(`wellsent  ${text}`);
const portOf = (url: string): string => new URL(url).port;
const running = new Map<string, ChildProcess>();
let places: object | undefined;
let stopping = false;

process.chdir(join(HOME, ".."));
const lock = takeHome();
process.stdout.on("error", () => undefined); // Ctrl-C ends a `| tee` before us.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void stop(0));
await start().catch(giveUp);

async function start(): Promise<void> {
  const began = Date.now();
  const { AMQP_URL, SMTP_URLS } = process.env;
  const at = await choosePlaces();
  if (AMQP_URL) at.amqp = AMQP_URL;
  else await startRabbit(at.amqp);
  if (SMTP_URLS) Object.assign(at, { smtp: SMTP_URLS, inbox: undefined });
  else await startInbox(at);
  await startServices(at);
  places = at;
  writeRunFile();
  console.log(`
  Ready after ${Math.round((Date.now() - began) / 1_000)} s. Ctrl-C ends everything and keeps the data.

  API       ${at.api}
  Inbox     ${SMTP_URLS ? "none: mail leaves through SMTP_URLS" : at.inbox}
  Audit     ${at.audit}
  Metrics   ${SERVICES.map((name) => `${at[`${name}Admin`]}/metrics`).join("  ")}
  Internal  ${at.internal} with the token in ${at.internalToken}
  RabbitMQ  amqp://${new URL(at.amqp).host}

  curl -i ${at.api}/send -H 'Content-Type: application/json' \\
    -d '{"toaddr": "ada@example.com", "subject": "Hello", "body": "It works."}'
`);
}

async function choosePlaces(): Promise<Places> {
  const at: Record<string, string> = { audit: join(HOME, "audit"), internalToken: makeToken() };
  for (const [name, wanted] of Object.entries(PORTS)) {
    const port = await firstFree(wanted, name === "amqp" ? BROKER_OFFSETS : [0]);
    if (port !== wanted) say(`Port ${wanted} is taken; ${name} gets ${port}`);
    at[name] = `${name === "smtp" || name === "amqp" ? name : "http"}://${HOST}:${port}`;
  }
  return at as Places;
}

async function firstFree(port: number, offsets: readonly number[]): Promise<number> {
  const wanted = offsets.map((offset) => port + offset);
  const free = await Promise.all(wanted.map((each) => getPort({ host: HOST, port: each })));
  return free.every((each, at) => each === wanted[at]) ? port : firstFree(port + 1, offsets);
}

async function startRabbit(url: string): Promise<void> {
  const broker = await findBroker(join(HOME, "rabbitmq"), Number(portOf(url)), say);
  await keep("rabbitmq", broker, () => connect(url).then((link) => link.close()));
}

async function startInbox({ smtp, inbox }: Places): Promise<void> {
  say("Starting the inbox (MailDev)");
  const listen = ["--ip", HOST, "--smtp", portOf(smtp), "--web-ip", HOST, "--web", portOf(inbox)];
  const argv = [process.execPath, MAILDEV, ...listen, "--mail-directory", join(HOME, "inbox")];
  const program = { argv: leashed(argv), log: join(HOME, "maildev.log") };
  await keep("maildev", program, () => answers(`${inbox}/api/healthz`));
}

async function startServices(at: Places): Promise<void> {
  say("Starting api, emailer and logger");
  const shared = {
    MAIL_FROM: "Wellsent <wellsent@localhost.localdomain>",
    ...process.env,
    ...(!process.env["API_KEYS_FILE"] && { API_ANONYMOUS: "true" }),
    AMQP_URL: at.amqp,
    SMTP_URLS: at.smtp,
    HTTP_HOST: HOST,
    HTTP_PORT: portOf(at.api),
    AUDIT_DIR: at.audit,
    INTERNAL_HOST: HOST,
    INTERNAL_PORT: portOf(at.internal),
    INTERNAL_TOKEN_FILE: at.internalToken,
    METRICS_HOST: HOST,
    SHUTDOWN_DEADLINE_MS: String(DRAIN_MS),
  };
  const start = (name: (typeof SERVICES)[number]) => {
    const admin = at[`${name}Admin`];
    const argv = leashed([process.execPath, ...NODE_FLAGS, `services/${name}/src/main.ts`]);
    const env = { ...shared, METRICS_PORT: portOf(admin) };
    return keep(name, { argv, env }, () => answers(`${admin}/readyz`));
  };
  await Promise.all(SERVICES.map(start));
}

async function answers(url: string): Promise<void> {
  if (!(await fetch(url)).ok) throw new Error(`${url} is not well.`);
}

/** Starts a program, and again whenever it ends by itself. Resolves when it is well. */
async function keep(name: string, program: Program, isWell: () => Promise<void>): Promise<void> {
  let wasWell = false;
  const run = async () => {
    do {
      const part = startPart(program);
      running.set(name, part);
      writeRunFile();
      await once(part, "exit");
      running.delete(name);
      writeRunFile();
      if (!stopping && !wasWell)
        throw new Error(`${name} did not start: see ${program.log ?? "above"}`);
      if (!stopping) say(`${name} ended by itself; it is started again`);
      await sleep(RESTART_MS);
    } while (!stopping);
  };
  void run().catch(giveUp);
  while (!wasWell)
    wasWell = await isWell().then(
      () => true,
      () => sleep(100, false),
    );
}

/** Once all is ready, says where it is. Replaced as a whole, so that nobody reads half of it. */
function writeRunFile(): void {
  if (!places) return;
  const pids = Object.fromEntries([...running].map(([name, { pid }]) => [name, pid]));
  const text = JSON.stringify({ ...places, pids }, undefined, 2);
  writeFileSync(`${RUN_FILE}.new`, `${text}\n`, { mode: 0o600 });
  renameSync(`${RUN_FILE}.new`, RUN_FILE);
}

/** The file with the internal port's token: the one of the starts before, or a new one. */
function makeToken(): string {
  const { INTERNAL_TOKEN_FILE: file, INTERNAL_TOKEN: given } = process.env;
  if (file) return file;
  const token = given ?? randomBytes(32).toString("hex");
  if (given || !existsSync(TOKEN_FILE)) writeFileSync(TOKEN_FILE, `${token}\n`, { mode: 0o600 });
  return TOKEN_FILE;
}

/** Makes .wellsent/ ours alone: SQLite's lock on a file goes with the process, however that ends. */
function takeHome(): DatabaseSync {
  mkdirSync(HOME, { recursive: true });
  const lock = new DatabaseSync(join(HOME, "lock"));
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch {
    console.error(`Wellsent runs here already; ${RUN_FILE} says where.`);
    process.exit(1);
  }
  const old = process.argv.includes("--fresh") ? readdirSync(HOME) : ["run.json"];
  for (const name of old.filter((name) => !name.startsWith("lock")))
    rmSync(join(HOME, name), { recursive: true, force: true });
  return lock;
}

function giveUp(error: unknown): void {
  say(error instanceof Error ? error.message : String(error));
  void stop(1);
}

async function stop(status: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  say("Stopping: what is in flight is finished first");
  for (const names of [SERVICES, ["maildev", "rabbitmq"]]) {
    const parts = names.flatMap((name) => running.get(name) ?? []);
    await Promise.all(parts.map((part) => endPart(part, GRACE_MS)));
  }
  rmSync(RUN_FILE, { force: true });
  lock.close();
  process.exit(status);
}
