import { meter } from "@wellsent/runtime";
import type { Registry } from "prom-client";

const HELP = {
  wellsent_http_requests_total: "Requests answered, by status; aborted: the client went away first",
  wellsent_http_request_duration_seconds: "Time from a request's head to the end of its response",
  wellsent_emails_accepted_total: "Emails answered with 202: stored by the broker",
  wellsent_sends_refused_total: "Sends answered with a problem, by its code",
  wellsent_emailer_queue_depth: "Messages ready in the queue emailer when it was last looked at",
};
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What the API counts. */
export type ApiMetrics = ReturnType<typeof createApiMetrics>;

/** Creates the API's metrics in its registry. Labels are routes, methods, statuses and codes of ours: bounded. */
export function createApiMetrics(registry: Registry) {
  const { counter, gauge, histogram } = meter(registry, HELP);
  return {
    requests: counter("wellsent_http_requests_total", "method", "route", "status"),
    requestSeconds: histogram("wellsent_http_request_duration_seconds", REQUEST_BUCKETS, "route"),
    accepted: counter("wellsent_emails_accepted_total"),
    refused: counter("wellsent_sends_refused_total", "code"),
    queueDepth: gauge("wellsent_emailer_queue_depth"),
  };
}
