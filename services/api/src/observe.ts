import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Log } from "@wellsent/runtime";
import type { Request, RequestHandler } from "express";
import type { ApiMetrics } from "./metrics.ts";

const HEADER = "X-Request-Id";
/** Narrow enough that an id can hold neither an address nor a line break. */
const ACCEPTED = /^[\w.-]{1,128}$/;

/** Takes over the client's request id, or makes one, and returns it with every response. */
export const assignRequestId: RequestHandler = (request, response, next) => {
  const given = request.get(HEADER) ?? "";
  response.setHeader(HEADER, ACCEPTED.test(given) ? given : randomUUID());
  next();
};

/** The id of the request that is being answered. */
export function requestIdOf(response: ServerResponse): string {
  return String(response.getHeader(HEADER) ?? randomUUID());
}

/** Counts and logs every request when it is over: warn for 5xx, else debug. Nothing that a user wrote. */
export function observe(metrics: ApiMetrics, log: Log): RequestHandler {
  return (request, response, next) => {
    const stop = metrics.requestSeconds.startTimer();
    response.once("close", () => {
      const route = routeOf(request);
      const status = response.writableFinished ? String(response.statusCode) : "aborted";
      // n.b. Node's parser refuses what is no method, so these are bounded too.
      const labels = { method: request.method, route, status };
      const seconds = stop({ route });
      metrics.requests.inc(labels);
      const apiKey = response.locals["apiKey"] as string | undefined;
      const ms = Math.round(seconds * 1_000);
      const fields = { requestId: requestIdOf(response), ...labels, ms, apiKey };
      log[response.statusCode < 500 ? "debug" : "warn"]("request", fields);
    });
    next();
  };
}

/** The path of the route that took a request; not the request's own, which anyone can choose. */
export function routeOf(request: Request): string {
  const route = request.route as { path?: string } | undefined;
  return route?.path ?? "unknown";
}
