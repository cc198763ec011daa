import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createVhost,
  deleteVhost,
  type Rule,
  type SmtpSink,
  startSink,
  waitFor,
} from "@wellsent/testing";
import type { SmallDisk } from "./small-disk.ts";
import { spawnService, type Service } from "./spawn-service.ts";

const TOKEN = "a token of at least thirty-two characters".replaceAll(" ", "-");

/** One line of the audit log. */
export interface AuditLine {
  eventId: string;
  id: string;
  delivery: string;
  kind: string;
  time: string;
  recipient?: string;
  attempt?: number;
  reply?: string;
  reason?: string;
  possibleDuplicate: boolean;
}

/** What a client got for a send. */
export interface Answer {
  status: number;
  id: string | undefined;
  outcome?: string;
  /** Why there was no answer at all; the status is 0 then. */
  error?: string;
  /** With an error: whether there was a connection, on which the request may have been sent. */
  connected?: boolean;
}

export type Name = "api" | "emailer" | "logger";

/** What the internal port answered. */
export interface Internal {
  status: number;
  body: Record<string, unknown>;
}

/** The whole system as processes, with an SMTP sink in this one. */
export interface System {
  amqp: string;
  sink: SmtpSink;
  services: Record<Name, Service>;
  /** Base URL of the API; stays when the API is started again. */
  api(): string;
  send(email: object): Promise<Answer>;
  /** Asks the logger's internal port; resolves to the status and what it answered. */
  internal(method: "GET" | "POST", path: string, body?: object): Promise<Internal>;
  /** The logger's AUDIT_DIR. */
  auditDir: string;
  audit(): AuditLine[];
  /** Resolves when as many lines of a kind stand in the audit log. */
  audited(kind: string, count: number, deadlineMs?: number): Promise<AuditLine[]>;
  /** Starts one service anew, after it ended, from then on with other variables if some are given. */
  restart(name: Name, env?: Record<string, string>): Promise<void>;
  stop(): Promise<void>;
}

/** Options of {@link startSystem}; the broker's URL is that of a virtual host of its own unless given. */
export interface SystemOptions {
  amqp?: string;
  env?: Record<string, string>;
  rule?: Rule;
  refuseSender?: () => number | undefined;
  delayMs?: number;
  /** The disk for the audit log. Default: a temporary directory. */
  disk?: SmallDisk;
}

/** Starts API, emailer, logger and a sink. */
export async function startSystem({
  amqp,
  env = {},
  rule,
  refuseSender,
  delayMs = 0,
  disk,
}: SystemOptions = {}): Promise<System> {
  const vhost = amqp ?? (await createVhost());
  const dir = disk?.directory ?? mkdtempSync(join(tmpdir(), "wellsent-audit-"));
  const sink = await startSink({
    delayMs,
    ...(rule && { rule }),
    ...(refuseSender && { refuseSender }),
  });
  const common = { AMQP_URL: vhost, SHUTDOWN_DEADLINE_MS: "15000", RETRY_LADDER: "1s,2s", ...env };
  const environments: Record<Name, Record<string, string>> = {
    api: { ...common, HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", API_ANONYMOUS: "true" },
    emailer: { SMTP_URLS: sink.url, ...common, MAIL_FROM: "Wellsent <post@horn.example>" },
    logger: {
      ...common,
      AUDIT_DIR: dir,
      INTERNAL_HOST: "127.0.0.1",
      INTERNAL_PORT: "0",
      INTERNAL_TOKEN: TOKEN,
    },
  };
  const start = async (name: Name) =>
    spawnService(name, environments[name], name === "logger" ? disk?.enter : undefined);
  const [api, emailer, logger] = await Promise.all([
    start("api"),
    start("emailer"),
    start("logger"),
  ]);
  const services = { api, emailer, logger };
  const port = await api.port("API listens");
  environments.api["HTTP_PORT"] = String(port);
  const base = `http://127.0.0.1:${port}`;
  const audit = () => readAudit(disk?.view ?? dir);
  return {
    amqp: vhost,
    sink,
    services,
    api: () => base,
    send: (email) => send(base, email),
    internal: async (method, path, body) => {
      const loggerPort = await services.logger.port("internal port listens");
      const response = await fetch(`http://127.0.0.1:${loggerPort}${path}`, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
        ...(body && { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Internal["body"] };
    },
    auditDir: dir,
    audit,
    audited: async (kind, count, deadlineMs) =>
      waitFor(
        `${count} lines of ${kind}`,
        () => {
          const lines = audit().filter((line) => line.kind === kind);
          return lines.length >= count ? lines : undefined;
        },
        deadlineMs,
      ),
    restart: async (name, changed) => {
      Object.assign(environments[name], changed);
      services[name] = await start(name);
    },
    stop: async () => {
      await Promise.all(Object.values(services).map((service) => service.end("SIGKILL")));
      await sink.close();
      if (!disk) rmSync(dir, { recursive: true, force: true });
      if (amqp === undefined) await deleteVhost(vhost);
    },
  };
}

/** Waits until every service of a system is ready. */
export async function allReady({ services }: System): Promise<void> {
  await Promise.all(Object.values(services).map((service) => service.ready()));
}

/** Sends numbered emails from several clients at once, and resolves to the answers. */
export async function sendMany(
  system: System,
  count: number,
  clients: number,
  toEmail = emailNumber,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const client = async () => {
    while (next < count) answers.push(await system.send(toEmail(next++)));
  };
  await Promise.all(Array.from({ length: clients }, client));
  return answers;
}

/** A small email with a recipient of its own. */
export function emailNumber(number: number): object {
  return {
    toaddr: `user${number}@example.com`,
    subject: `Email ${number}`,
    body: `The body of ${number}`,
  };
}

/** Ids that occur more than once. */
export function twice(ids: readonly string[]): string[] {
  const seen = new Set<string>();
  return ids.filter((id) => seen.has(id) || !seen.add(id));
}

async function send(base: string, email: object): Promise<Answer> {
  try {
    const response = await fetch(`${base}/send`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(email),
    });
    const body = (await response.json()) as { id?: string; outcome?: string };
    return {
      status: response.status,
      id: body.id,
      ...(body.outcome ? { outcome: body.outcome } : {}),
    };
  } catch (error) {
    const { cause } = error as { cause?: { code?: string; syscall?: string } };
    const connected = cause?.syscall !== "connect";
    return { status: 0, id: undefined, error: cause?.code ?? String(error), connected };
  }
}

function readAudit(dir: string): AuditLine[] {
  const files = readdirSync(dir).filter((name) => name.endsWith(".jsonl"));
  // What has no line break yet is being written.
  const wholeLines = (name: string) =>
    readFileSync(join(dir, name), "utf8").split("\n").slice(0, -1);
  return files
    .sort()
    .flatMap(wholeLines)
    .map((line) => JSON.parse(line) as AuditLine);
}
