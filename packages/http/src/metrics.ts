import { meter } from "@wellsent/runtime";
import type { Registry } from "prom-client";

const HELP = {
  wellsent_http_requests_total:
    "Requests answered, by status; aborted: the client disconnected before its response",
  wellsent_http_request_duration_seconds: "Time from a request's head to the end of its response",
};
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The metrics of an HTTP server. */
export type HttpMetrics = ReturnType<typeof createHttpMetrics>;

/** Registers the metrics of an HTTP server. The labels are methods, routes and statuses, so their number is bounded. */
export function createHttpMetrics(registry: Registry) {
  const { counter, histogram } = meter(registry, HELP);
  return {
    requests: counter("wellsent_http_requests_total", "method", "route", "status"),
    requestSeconds: histogram("wellsent_http_request_duration_seconds", BUCKETS, "route"),
  };
}
