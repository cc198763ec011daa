import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { connect } from "amqplib";
import { findBroker } from "./broker.ts";
import { NODE_FLAGS } from "./node-flags.ts";
import { leashed } from "./part.ts";
import { HOST } from "./ports.ts";
import { Supervisor, type Listener } from "./supervisor.ts";

const HOME = join(import.meta.dirname, "../.wellsent");
const RUN_FILE = join(HOME, "run.json");
/** The token of the internal port, unless the environment names another file. */
const TOKEN_FILE = join(HOME, "internal-token");
const MAILDEV = fileURLToPath(new URL("bin/maildev.js", import.meta.resolve("maildev")));
/** A broker's own port, and those by which its programs find and talk to each other. */
const BROKER: Listener = { wanted: 12_000, offsets: [0, 10_000, 20_000] };
/** The ports of each service, by their names in run.json and their variables. A taken one is replaced by the next free one. */
const SERVICES = {
  api: { api: ["HTTP_PORT", 8080], apiAdmin: ["METRICS_PORT", 9464] },
  emailer: { emailerAdmin: ["METRICS_PORT", 9474] },
  logger: { internal: ["INTERNAL_PORT", 9465], loggerAdmin: ["METRICS_PORT", 9484] },
} as const;
type ServiceName = keyof typeof SERVICES;
const NAMES = Object.keys(SERVICES) as ServiceName[];
/** Ctrl-C promises that all is gone within 10 s: the services by half of it, then what they used. */
const GRACE_MS = 4_700;
const DRAIN_MS = 4_500;

const say = (text: string): void => console.log(`wellsent  ${text}`);
const url = (port: number, scheme = "http"): string => `${scheme}://${HOST}:${port}`;
const supervisor = new Supervisor({ say, onChange: writeRunFile, onFailure: giveUp });
/** Addresses by name, as they are written to run.json once all is ready. */
const places: Record<string, string> = {};
let isReady = false;
let stopping = false;

process.chdir(join(HOME, ".."));
const lock = takeHome();
process.stdout.on("error", () => undefined); // Ctrl-C ends a `| tee` before us.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void stop(0));
await start().catch(giveUp);

async function start(): Promise<void> {
  const began = Date.now();
  const { AMQP_URL, SMTP_URLS } = process.env;
  places["audit"] = join(HOME, "audit");
  places["internalToken"] = makeToken();
  if (AMQP_URL) places["amqp"] = AMQP_URL;
  else await startRabbit();
  if (SMTP_URLS) places["smtp"] = SMTP_URLS;
  else await startInbox();
  say("Starting api, emailer and logger");
  await Promise.all(NAMES.map(startService));
  isReady = true;
  writeRunFile();
  const at = (name: string) => places[name] ?? "";
  console.log(`
  Ready after ${Math.round((Date.now() - began) / 1_000)} s. Ctrl-C ends everything and keeps the data.

  API       ${at("api")}
  Inbox     ${places["inbox"] ?? "none: mail leaves through SMTP_URLS"}
  Audit     ${at("audit")}
  Metrics   ${NAMES.map((name) => `${at(`${name}Admin`)}/metrics`).join("  ")}
  Internal  ${at("internal")} with the token in ${at("internalToken")}
  RabbitMQ  amqp://${new URL(at("amqp")).host}

  curl -i ${at("api")}/send -H 'Content-Type: application/json' \\
    -d '{"toaddr": "ada@example.com", "subject": "Hello", "body": "It works."}'
`);
}

async function startRabbit(): Promise<void> {
  const { amqp } = await supervisor.keep({
    name: "rabbitmq",
    listeners: { amqp: BROKER },
    program: ({ amqp }) => findBroker(join(HOME, "rabbitmq"), amqp, say),
    isReady: ({ amqp }) => connect(url(amqp, "amqp")).then((link) => link.close()),
  });
  places["amqp"] = url(amqp, "amqp");
}

async function startInbox(): Promise<void> {
  say("Starting the inbox (MailDev)");
  const { smtp, inbox } = await supervisor.keep({
    name: "maildev",
    listeners: { smtp: { wanted: 1025 }, inbox: { wanted: 1080 } },
    program: ({ smtp, inbox }) => {
      const listen = ["--ip", HOST, "--smtp", `${smtp}`, "--web-ip", HOST, "--web", `${inbox}`];
      const argv = [process.execPath, MAILDEV, ...listen, "--mail-directory", join(HOME, "inbox")];
      return { argv: leashed(argv), log: join(HOME, "maildev.log") };
    },
    isReady: ({ inbox }) => answers(`${url(inbox)}/api/healthz`),
  });
  places["smtp"] = url(smtp, "smtp");
  places["inbox"] = url(inbox);
}

async function startService(name: ServiceName): Promise<void> {
  const variables = Object.entries<readonly [string, number]>(SERVICES[name]);
  const ports = await supervisor.keep({
    name,
    listeners: Object.fromEntries(variables.map(([port, [, wanted]]) => [port, { wanted }])),
    program: (chosen) => ({
      argv: leashed([process.execPath, ...NODE_FLAGS, `services/${name}/src/main.ts`]),
      env: {
        ...environment(),
        ...Object.fromEntries(variables.map(([port, [variable]]) => [variable, `${chosen[port]}`])),
      },
    }),
    isReady: (chosen) => answers(`${url(chosen[`${name}Admin`] ?? 0)}/readyz`),
  });
  for (const [port, number] of Object.entries(ports)) places[port] = url(number);
}

/** The variables of every service. */
function environment(): NodeJS.ProcessEnv {
  return {
    MAIL_FROM: "Wellsent <wellsent@localhost.localdomain>",
    ...process.env,
    ...(!process.env["API_KEYS_FILE"] && { API_ANONYMOUS: "true" }),
    AMQP_URL: places["amqp"],
    SMTP_URLS: places["smtp"],
    HTTP_HOST: HOST,
    AUDIT_DIR: places["audit"],
    INTERNAL_HOST: HOST,
    INTERNAL_TOKEN_FILE: places["internalToken"],
    METRICS_HOST: HOST,
    SHUTDOWN_DEADLINE_MS: String(DRAIN_MS),
  };
}

async function answers(address: string): Promise<void> {
  if (!(await fetch(address)).ok) throw new Error(`${address} is not ready.`);
}

/** Writes run.json once all is ready. The file is replaced as a whole, so that nobody reads half of it. */
function writeRunFile(): void {
  if (!isReady) return;
  const pids = Object.fromEntries([...supervisor.running].map(([name, { pid }]) => [name, pid]));
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
  for (const name of old.filter((name) => !name.startsWith("lock"))) {
    rmSync(join(HOME, name), { recursive: true, force: true });
  }
  return lock;
}

function giveUp(error: unknown): void {
  say(error instanceof Error ? error.message : String(error));
  void stop(1);
}

async function stop(status: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  say("Stopping; what is in flight is finished first");
  await supervisor.end(NAMES, GRACE_MS);
  await supervisor.end(["maildev", "rabbitmq"], GRACE_MS);
  rmSync(RUN_FILE, { force: true });
  lock.close();
  process.exit(status);
}
