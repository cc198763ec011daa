import type { Log } from "@wellsent/runtime";
import type { Request, RequestHandler, Response } from "express";
import type { HttpMetrics } from "./metrics.ts";
import { requestIdOf } from "./request-id.ts";

const KEY = "apiKey";
const PROBLEM = "problem";

/** Remembers for the request's log line whose key it was sent with: the key's name, never the key. */
export function noteKeyName(response: Response, name: string): void {
  response.locals[KEY] = name;
}

/** Remembers for the request's log line with which problem it is answered. */
export function noteProblem(response: Response, code: string): void {
  response.locals[PROBLEM] = code;
}

/** Counts and logs every request when it ends: at level `warn` for 5xx, else at `debug`. Nothing in the line quotes the request. */
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
