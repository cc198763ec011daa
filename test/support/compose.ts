import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "./broker-process.ts";
import type { AuditLine } from "./system.ts";
import { waitFor } from "@wellsent/testing";

const run = promisify(execFile);
/** Between two emails of a client, where their number does not matter: the inbox shows all it has at once. */
const PAUSE_MS = 50;
/** Inside one of our images, which have no shell: prints what a URL answers. */
const FETCH = "fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)";

/** There too: prints the record. */
const PRINT_RECORD =
  "for (const file of fs.globSync('/var/lib/wellsent/*.jsonl').sort()) process.stdout.write(fs.readFileSync(file))";

/** Runs docker and resolves to what it printed. @throws {Error} with what it said */
export async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args, { maxBuffer: 1e9 })).stdout.trim();
}

/** The tag of the images under test. */
export const IMAGES = "test";
/** Whether images of that tag are there already and nothing is built, as in a release, which tests the images that it publishes. */
export const IMAGES_GIVEN = Boolean(process.env["IMAGES_GIVEN"]);

/** What a client got: the ids of what was accepted, by recipient, and everything else by status or error code. */
export interface Sent {
  accepted: Map<string, string>;
  others: Record<string, number>;
}

/** `count` emails and then, slowly, more of them until the end; each client waits for its answer. */
export interface Load {
  count: number;
  clients?: number;
  /** Further clients that take a second over each body, so that a request is always under way. */
  slow?: number;
  until?: () => boolean;
}

/** The containers of docker-compose.yml under a name and on ports of the test's own. */
export interface Project {
  api: string;
  prometheus: string;
  /** Runs docker compose. `env` stays for all further runs. */
  compose(args: string[], env?: Record<string, string>): Promise<string>;
  /** Brings up and waits for health. */
  up(...args: string[]): Promise<void>;
  /** The ids of a service's containers. */
  containers(service: string): Promise<string[]>;
  /** The sum of a metric over its labels, for each replica of a service. */
  metric(service: string, name: string): Promise<number[]>;
  /** Sends emails of one recipient each over kept-alive connections, none of them twice. */
  send(load: Load): Promise<Sent>;
  /** The recipients of what is in the inbox. */
  inbox(): Promise<string[]>;
  record(): Promise<AuditLine[]>;
  /** Resolves once all of them are recorded as sent, to the record. */
  sent(ids: Iterable<string>, deadlineMs?: number): Promise<AuditLine[]>;
  remove(): Promise<void>;
}

/** Names a project; nothing runs before `up`. */
export async function createProject(...files: string[]): Promise<Project> {
  const name = `wellsent-test-${randomUUID().slice(0, 8)}`;
  const [api, inbox, prometheus] = [await freePort(), await freePort(), await freePort()];
  const environment: Record<string, string> = {
    API_PORT: String(api),
    INBOX_PORT: String(inbox),
    PROMETHEUS_PORT: String(prometheus),
    WELLSENT_VERSION: IMAGES,
  };
  const chosen = ["docker-compose.yml", ...files].flatMap((file) => ["-f", file]);
  const fixed = ["compose", "-p", name, "--env-file", "/dev/null", ...chosen];

  const compose: Project["compose"] = async (args, env = {}) => {
    Object.assign(environment, env);
    const options = { env: { ...process.env, ...environment }, maxBuffer: 1e9 };
    return (await run("docker", [...fixed, ...args], options)).stdout.trim();
  };
  const containers = async (service: string) =>
    (await compose(["ps", "-q", service])).split("\n").filter(Boolean);
  const record = async () =>
    readLines(await compose(["exec", "-T", "logger", "/nodejs/bin/node", "-e", PRINT_RECORD]));
  return {
    api: `http://127.0.0.1:${api}`,
    prometheus: `http://127.0.0.1:${prometheus}`,
    compose,
    up: async (...args) => {
      await compose(["up", "-d", "--wait", ...args]);
    },
    containers,
    metric: async (service, metric) => {
      const ask = ["/nodejs/bin/node", "-e", FETCH, "http://localhost:9464/metrics"];
      const texts = (await containers(service)).map((id) => docker("exec", id, ...ask));
      return (await Promise.all(texts)).map((text) => sum(text, metric));
    },
    send: (options) => send(api, options),
    inbox: async () => {
      const mails = (await (await fetch(`http://127.0.0.1:${inbox}/api/email`)).json()) as {
        to: { address: string }[];
      }[];
      return mails.flatMap(({ to }) => to.map(({ address }) => address));
    },
    record,
    sent: (ids, deadlineMs = 60_000) => {
      const wanted = new Set(ids);
      return waitFor(
        `${wanted.size} emails recorded as sent`,
        async () => {
          await sleep(250);
          const lines = await record();
          const sent = lines.filter(({ kind }) => kind === "email.sent").map(({ id }) => id);
          return wanted.isSubsetOf(new Set(sent)) ? lines : undefined;
        },
        deadlineMs,
      );
    },
    remove: async () => {
      await compose(["--profile", "monitoring", "down", "-v", "--remove-orphans", "-t", "5"]);
    },
  };
}

async function send(
  port: number,
  { count, clients = 8, slow = 0, until = () => true }: Load,
): Promise<Sent> {
  const agent = new Agent({ keepAlive: true });
  const sent: Sent = { accepted: new Map(), others: {} };
  let begun = 0;
  const client = async (bodyMs: number) => {
    while (begun++ < count || !until()) {
      const toaddr = `${randomUUID()}@example.com`;
      const { outcome, id } = await post(port, agent, toaddr, bodyMs);
      if (id) sent.accepted.set(toaddr, id);
      else sent.others[outcome] = (sent.others[outcome] ?? 0) + 1;
      if (begun > count) await sleep(PAUSE_MS);
    }
  };
  const every = Array.from({ length: clients + slow }, (_, index) =>
    client(index < slow ? 1_000 : 0),
  );
  await Promise.all(every);
  agent.destroy();
  return sent;
}

/** Resolves to the status, or to what went wrong instead, and to the id. */
function post(
  port: number,
  agent: Agent,
  toaddr: string,
  bodyMs: number,
): Promise<{ outcome: string; id?: string }> {
  const body = JSON.stringify({ toaddr, subject: "Hello", body: "It works." });
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const options = { host: "127.0.0.1", port, path: "/send", method: "POST", agent, headers };
    const sending = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", () => resolve({ outcome: "cut off" }));
      response.on("end", () => {
        const accepted = response.statusCode === 202;
        const text = Buffer.concat(chunks).toString();
        const outcome = String(response.statusCode);
        resolve({ outcome, ...(accepted && (JSON.parse(text) as { id: string })) });
      });
    });
    sending.on("error", ({ code = "error" }: NodeJS.ErrnoException) => resolve({ outcome: code }));
    sending.write(body.slice(0, 10));
    const finish = () => sending.end(body.slice(10));
    if (bodyMs) setTimeout(finish, bodyMs);
    else finish();
  });
}

function readLines(text: string): AuditLine[] {
  const lines = text.split("\n");
  // The last one may be on its way.
  return lines.flatMap((line) => (line.endsWith("}") ? [JSON.parse(line) as AuditLine] : []));
}

function sum(text: string, metric: string): number {
  const lines = text.split("\n").filter((line) => line.replace(/[{ ].*/, "") === metric);
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0);
}
