import { createHttpMetrics } from "@wellsent/http";
import { meter } from "@wellsent/runtime";
import type { Registry } from "prom-client";

const HELP = {
  wellsent_emails_accepted_total: "Emails answered with 202, which the broker has stored",
  wellsent_sends_refused_total: "Sends answered with a problem, by code",
  wellsent_api_keys: "Valid API keys; also 0 if no key is required",
  wellsent_api_key_faults: "Invalid lines of API_KEYS_FILE; 1 if the file cannot be read",
  wellsent_emailer_queue_depth: "Messages ready in the queue emailer when it was last counted",
  wellsent_queues_bytes: "Bytes ready in the queues emailer and logger, by estimate",
  wellsent_sends_waiting: "Sends that wait during a broker failover",
};

/** The metrics of the API. */
export type ApiMetrics = ReturnType<typeof createApiMetrics>;

/** Registers the metrics of the API. The labels are our own routes, methods, statuses and codes, so their number is bounded. */
export function createApiMetrics(registry: Registry) {
  const { counter, gauge } = meter(registry, HELP);
  return {
    ...createHttpMetrics(registry),
    accepted: counter("wellsent_emails_accepted_total"),
    refused: counter("wellsent_sends_refused_total", "code"),
    apiKeys: gauge("wellsent_api_keys"),
    apiKeyFaults: gauge("wellsent_api_key_faults"),
    queueDepth: gauge("wellsent_emailer_queue_depth"),
    queueBytes: gauge("wellsent_queues_bytes"),
    waiting: gauge("wellsent_sends_waiting"),
  };
}
