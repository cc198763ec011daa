import type { Log } from "@wellsent/runtime";
import type { Request, RequestHandler, Response } from "express";
import type { HttpMetrics } from "./metrics.ts";
import { requestIdOf } from "./request-id.ts";

const KEY = "apiKey";
const PROBLEM = "problem";

/** Stores the name of the API key, never the key itself, for the log line of the request. */
export function noteKeyName(response: Response, name: string): void {
  response.locals[KEY] = name;
}

/** Stores the code of the problem for the log line of the request. */
export function noteProblem(response: Response, code: string): void {
  response.locals[PROBLEM] = code;
}

/** Counts and logs every request when it ends, at level `warn` for 5xx, otherwise at `debug`. The line does not quote the request. */
export function logRequests(metrics: HttpMetrics, log: Log): RequestHandler {
  return (request, response, next) => {
    const stop = metrics.requestSeconds.startTimer();
    response.once("close", () => {
      const route = routeOf(request);
      const status = response.writableFinished ? String(response.statusCode) : "aborted";
      // Node's parser refuses unknown methods, so the number of labels is bounded.
      const labels = { method: request.method, route, status };
      metrics.requests.inc(labels);
      const ms = Math.round(stop({ route }) * 1_000);
      const apiKey = response.locals[KEY] as string | undefined;
      const code = response.locals[PROBLEM] as string | undefined;
      const fields = { requestId: requestIdOf(response), ...labels, ms, apiKey, code };
      log[response.statusCode < 500 ? "debug" : "warn"]("request", fields);
    });
    next();
  };
}

/** Returns the path of the route that matched, not the request's own path, which can be any text. */
export function routeOf(request: Request): string {
  const route = request.route as { path?: string } | undefined;
  return route?.path ?? "unknown";
}
