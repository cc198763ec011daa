import { describe, type Log } from "@wellsent/runtime";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import { parseJsonBody, readBody, requireJson } from "./json-body.ts";
import type { ApiMetrics } from "./metrics.ts";
import { assignRequestId, observe, requestIdOf, routeOf } from "./observe.ts";
import { createOpenapi } from "./openapi.ts";
import { Problem, type ProblemCode, type ProblemMembers, toProblem } from "./problem.ts";
import { createSendRoute, refuseAtOnce, type SendOptions } from "./send/route.ts";

/** JSON writes one byte as six at most (`\u001f`); the rest is for addresses and subject. */
const JSON_ESCAPE = 6;
const JSON_REST_BYTES = 65_536;

/** Options of {@link createApp}. */
export interface AppOptions extends SendOptions {
  /** The name behind an `Authorization` header. @throws {Problem} API_KEY_MISSING, API_KEY_UNKNOWN */
  authenticate: (authorization: string | undefined) => string;
  metrics: ApiMetrics;
  log: Log;
}

/** Creates the HTTP API. */
export function createApp(options: AppOptions): Express {
  const { authenticate, bodyMaxBytes, metrics, log } = options;
  const openapi = createOpenapi(bodyMaxBytes);
  const limitBytes = JSON_ESCAPE * bodyMaxBytes + JSON_REST_BYTES;
  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", false);
  app.enable("strict routing").enable("case sensitive routing");

  app.use(assignRequestId, observe(metrics, log));
  app
    .route("/send")
    .post(
      requireKey(authenticate),
      // What can be refused by its head is, before its body is read.
      requireJsonAccepted,
      requireJson,
      refuseAtOnce(options),
      readBody(limitBytes),
      parseJsonBody,
      createSendRoute(options),
    )
    .all(refuse("METHOD_NOT_ALLOWED", { headers: { Allow: "POST" } }));
  app
    .route("/openapi.json")
    .get(requireJsonAccepted, (_request, response) => void response.json(openapi))
    .all(refuse("METHOD_NOT_ALLOWED", { headers: { Allow: "GET, HEAD" } }));
  app.use(refuse("ROUTE_UNKNOWN"), answerError(metrics, log));
  return app;
}

function requireKey(authenticate: AppOptions["authenticate"]): RequestHandler {
  return (request, response, next) => {
    response.locals["apiKey"] = authenticate(request.get("Authorization"));
    next();
  };
}

const requireJsonAccepted: RequestHandler = (request, _response, next) => {
  if (request.accepts("application/json") === false) throw new Problem("NOT_ACCEPTABLE");
  next();
};

function refuse(code: ProblemCode, members?: ProblemMembers): RequestHandler {
  return () => {
    throw new Problem(code, members);
  };
}

function answerError(metrics: ApiMetrics, log: Log): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express knows error handlers by four parameters
  return (error: unknown, request, response, _next) => {
    const problem = toProblem(error);
    if (problem.code === "UNEXPECTED") {
      const requestId = requestIdOf(response);
      log.error("request failed", { requestId, ...describe(problem.cause ?? error) });
    }
    if (routeOf(request) === "/send") metrics.refused.inc({ code: problem.code });
    // n.b. what could not be parsed to its end has been answered by the HTTP server.
    if (!response.headersSent) problem.answer(response);
  };
}
