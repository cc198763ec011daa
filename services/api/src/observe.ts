import type { Log } from "@posthorn/chassis";
import type { Request, RequestHandler } from "express";
import type { ApiMetrics } from "./metrics.ts";
import { requestIdOf } from "./request-id.ts";

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
