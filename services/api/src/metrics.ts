import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What the API counts. */
export type ApiMetrics = ReturnType<typeof createApiMetrics>;

/** Creates the API's metrics in its registry. Labels are routes, methods, statuses and codes of ours: bounded. */
export function createApiMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requests: new Counter({
      name: "posthorn_http_requests_total",
      help: "Requests answered, by status; aborted: the client went away first",
      labelNames: ["method", "route", "status"],
      registers,
    }),
    requestSeconds: new Histogram({
      name: "posthorn_http_request_duration_seconds",
      help: "Time from a request's head to the end of its response",
      labelNames: ["route"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    accepted: new Counter({
      name: "posthorn_emails_accepted_total",
      help: "Emails answered with 202: stored by the broker",
      registers,
    }),
    refused: new Counter({
      name: "posthorn_sends_refused_total",
      help: "Sends answered with a problem, by its code",
      labelNames: ["code"],
      registers,
    }),
    queueDepth: new Gauge({
      name: "posthorn_emailer_queue_depth",
      help: "Messages ready in the queue emailer when it was last looked at",
      registers,
    }),
    topologyVerified: new Gauge({
      name: "posthorn_topology_verified",
      help: "1 while the queues that a send needs are known to be there",
      registers,
    }),
  };
}
