import { describe, type Log } from "@wellsent/runtime";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import type { HttpMetrics } from "./metrics.ts";
import { Problem, type ProblemKind, type ProblemMembers } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";
import { assignRequestId, requestIdOf } from "./request-id.ts";
import { logRequests, noteProblem, routeOf } from "./request-log.ts";

/** How the OpenAPI document describes an operation. */
export interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  security?: readonly object[];
  parameters?: readonly object[];
  requestBody?: object;
  /** The successful responses, by status. */
  responses: Readonly<Record<number, object>>;
  /** The problems that the operation answers. */
  problems: readonly ProblemKind[];
}

/** One operation: how Express serves it, and how the OpenAPI document describes it. */
export interface Route {
  method: "get" | "post";
  /** A path of Express, for example `/emails/:id`. */
  path: string;
  operation: Operation;
  /** Called in order; each one throws a {@link Problem} to refuse the request, or calls the next one. */
  handlers: readonly RequestHandler[];
}

/** Options of {@link createHttpApp}. */
export interface HttpAppOptions {
  routes: readonly Route[];
  /** Called for every request before its route is looked up. */
  before?: readonly RequestHandler[];
  /** Returns the problem document for an error of the service, or `undefined` if the error is unexpected. */
  explain?: (error: unknown) => Problem | undefined;
  /** Called for each request that is answered with a problem document. */
  onProblem?: (route: string, code: string) => void;
  metrics: HttpMetrics;
  log: Log;
}

/** Creates the Express application that serves a table of routes. */
export function createHttpApp(options: HttpAppOptions): Express {
  const { routes, before = [], metrics, log } = options;
  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", "simple");
  app.enable("strict routing").enable("case sensitive routing");
  app.use(assignRequestId, logRequests(metrics, log), ...before);
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path)) {
    const route = app.route(path);
    for (const { method, handlers } of ofPath) route[method](...handlers);
    route.all(refuse(HTTP_PROBLEMS.METHOD_NOT_ALLOWED, { headers: { Allow: allowed(ofPath) } }));
  }
  app.use(refuse(HTTP_PROBLEMS.ROUTE_UNKNOWN), answerError(options));
  return app;
}

/** Refuses a client that does not accept JSON. */
export const requireJsonAccepted: RequestHandler = (request, _response, next) => {
  if (request.accepts("application/json") === false) {
    throw new Problem(HTTP_PROBLEMS.NOT_ACCEPTABLE);
  }
  next();
};

function refuse(kind: ProblemKind, members?: ProblemMembers): RequestHandler {
  return () => {
    throw new Problem(kind, members);
  };
}

/** Returns the value of `Allow`. Express answers HEAD on each path that has GET. */
function allowed(routes: readonly Route[]): string {
  const methods = routes.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : ["POST"]));
  return methods.join(", ");
}

function answerError({ explain, onProblem, log }: HttpAppOptions): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express recognizes error handlers by their four parameters
  return (error: unknown, request, response, _next) => {
    const problem = toProblem(error, explain);
    noteProblem(response, problem.code);
    if (problem.code === HTTP_PROBLEMS.UNEXPECTED.code) {
      const requestId = requestIdOf(response);
      log.error("request failed", { requestId, ...describe(problem.cause ?? error) });
    }
    onProblem?.(routeOf(request), problem.code);
    // The HTTP server has already answered a request that could not be parsed to its end.
    if (!response.headersSent) problem.answer(response);
  };
}

function toProblem(error: unknown, explain: HttpAppOptions["explain"]): Problem {
  if (error instanceof Problem) return error;
  return explain?.(error) ?? new Problem(HTTP_PROBLEMS.UNEXPECTED, { cause: error });
}
