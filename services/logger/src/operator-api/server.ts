import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { AppError, codeOf, describe, listen, TransientError } from "@wellsent/runtime";
import type { Publisher } from "@wellsent/amqp";
import type { Component, Log } from "@wellsent/runtime";
import { emailIdSchema, faultsIn, newEmailId, PAUSED_QUEUE } from "@wellsent/contract";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import type * as z from "zod";
import type { AuditLine } from "../audit/line.ts";
import type { Config } from "../config.ts";
import type { Ledger } from "../ledger.ts";
import type { Action } from "../parked/decide.ts";
import { listParked, pageSchema, selectionSchema, selects } from "../parked/list.ts";
import type { ListOptions } from "../parked/list.ts";
import type { ParkedPasses } from "../parked/pass.ts";

const BODY_MAX_BYTES = 1_048_576;

/** HTTP statuses by code; any other code is a 500. */
const STATUS: Readonly<Record<string, number>> = {
  JSON_MALFORMED: 400,
  TOKEN_INVALID: 401,
  EMAIL_UNKNOWN: 404,
  ROUTE_UNKNOWN: 404,
  PASS_RUNNING: 409,
  BODY_TOO_LARGE: 413,
  REQUEST_INVALID: 422,
  LEDGER_BROKEN: 503,
  BROKER_AWAY: 503,
};

/** The `type` of an error of express.json(), and what we call it. */
const BODY_ERRORS: Readonly<Record<string, string>> = {
  "entity.parse.failed": "JSON_MALFORMED",
  "entity.too.large": "BODY_TOO_LARGE",
};

/** n.b. the ids of an email's deliveries begin with its own and a dot, and the slash follows the dot. */
const OF_EMAIL = "BETWEEN ?1 || '.' AND ?1 || '/'";
const EMAIL = "SELECT id, time, subject, bytes FROM emails WHERE id = ?1";
const DELIVERIES = `SELECT id AS delivery, recipient, kind, time, attempt, relay, reply, reason,
  possible_duplicate = 1 AS possibleDuplicate FROM deliveries WHERE id ${OF_EMAIL} ORDER BY id`;
const EVENTS = `SELECT line FROM events WHERE delivery ${OF_EMAIL} ORDER BY time, id`;

/** Options of {@link createInternalApp}. */
export interface InternalOptions extends ListOptions {
  /** What a caller must bring, as it is now. */
  token: () => string;
  passes: ParkedPasses;
  publisher: Publisher;
  log: Log;
}

/** Creates the HTTP server of the internal port, for operators: parked mail, the brake, the ledger. */
export function createInternalServer(options: InternalOptions & Config["internal"]): Component {
  const { host, port, log, token } = options;
  const server = createServer({ requestTimeout: 30_000 }, createInternalApp(options));
  return {
    name: "internal",
    async start() {
      if (token() === "") log.info("internal port closed: no INTERNAL_TOKEN");
      else log.info("internal port listens", { port: await listen(server, host, port) });
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Creates the routes of the internal port. */
export function createInternalApp(options: InternalOptions): Express {
  const { token, ledger, passes, publisher, log } = options;
  const app = express().disable("x-powered-by").disable("etag");
  app.use(requireToken(token), express.json({ limit: BODY_MAX_BYTES, type: () => true }));
  app.get("/emails/:id", (request, response) => {
    response.json(describeEmail(ledger, read(emailIdSchema, request.params.id)));
  });
  app.get("/parked", (request, response) => {
    response.json(listParked(options, read(pageSchema, request.query)));
  });
  app.get("/parked/pass", (_request, response) => {
    response.json(passes.progress() ?? null);
  });
  for (const action of ["replay", "delete"] satisfies Action[])
    app.post(`/parked/${action}`, (request, response) => {
      const selection = read(selectionSchema, request.body);
      response.status(202).json(passes.begin(action, selects(options, selection)));
    });
  app.get("/pause", async (_request, response) => {
    response.json({ paused: await isPaused(publisher) });
  });
  app.post("/pause", async (_request, response) => {
    if (!(await isPaused(publisher))) await pause(publisher);
    response.json({ paused: true });
  });
  app.post("/resume", async (_request, response) => {
    await channelOf(publisher).purgeQueue(PAUSED_QUEUE);
    response.json({ paused: false });
  });
  app.post("/ledger/rebuild", (_request, response) => {
    ledger.rebuild();
    response.status(202).json({ state: "building" });
  });
  app.use(() => {
    throw new AppError("ROUTE_UNKNOWN", "There is nothing at this path by this method");
  }, answerError(log));
  return app;
}

/** RFC 6750 §2.1. The hashes are compared, so that the time taken says nothing, not even of lengths. */
function requireToken(token: () => string): RequestHandler {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return (request, _response, next) => {
    const [, given = ""] = /^Bearer +(\S+) *$/i.exec(request.get("Authorization") ?? "") ?? [];
    const wanted = token();
    if (wanted === "" || !timingSafeEqual(hash(given), hash(wanted)))
      throw new AppError("TOKEN_INVALID", "The token of the internal port is required");
    next();
  };
}

/** @throws {AppError} REQUEST_INVALID, naming the fields */
function read<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const { success, data, error } = schema.safeParse(value ?? {});
  if (success) return data;
  const faults = faultsIn(error.issues).slice(0, 5);
  const reasons = faults.map(({ path, issue }) => `${path.join(".") || "$"}: ${issue.message}`);
  throw new AppError("REQUEST_INVALID", reasons.join("; "));
}

/** All that is recorded of an email. @throws {AppError} EMAIL_UNKNOWN @throws {TransientError} LEDGER_BROKEN */
export function describeEmail(ledger: Ledger, id: string) {
  const deliveries = ledger.rows(DELIVERIES, id);
  if (deliveries.length === 0) throw new AppError("EMAIL_UNKNOWN", "Nothing is recorded of it");
  const events = ledger.rows(EVENTS, id).map(({ line }) => JSON.parse(String(line)) as AuditLine);
  const [email = { id }] = ledger.rows(EMAIL, id);
  return { ...email, deliveries, events };
}

function channelOf({ channel }: Publisher): NonNullable<Publisher["channel"]> {
  if (!channel) throw new TransientError("BROKER_AWAY", "The broker is away");
  return channel;
}

async function isPaused(publisher: Publisher): Promise<boolean> {
  const { messageCount } = await channelOf(publisher).checkQueue(PAUSED_QUEUE);
  return messageCount > 0;
}

async function pause(publisher: Publisher): Promise<void> {
  const where = { exchange: "", routingKey: PAUSED_QUEUE, messageId: newEmailId() };
  const body = Buffer.from(JSON.stringify({ since: new Date().toISOString() }));
  await publisher.publish({ ...where, body });
}

/** A problem document (RFC 9457), as the API's. */
function answerError(log: Log): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express knows error handlers by four parameters
  return (error: unknown, _request, response, _next) => {
    const code = BODY_ERRORS[(error as { type?: string }).type ?? ""] ?? codeOf(error);
    const status = STATUS[code] ?? 500;
    if (status === 500) log.error("internal request failed", describe(error));
    const detail = error instanceof AppError ? error.message : undefined;
    const type = `urn:wellsent:problem:${code}`;
    if (status === 401) response.set("WWW-Authenticate", "Bearer");
    response.status(status).type("application/problem+json");
    response.send(JSON.stringify({ type, title: code, status, code, detail }));
  };
}
