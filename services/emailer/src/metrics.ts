import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What the emailer counts. */
export type EmailerMetrics = ReturnType<typeof createEmailerMetrics>;

/** Creates the emailer's metrics in its registry. */
export function createEmailerMetrics(registry: Registry) {
  const registers = [registry];
  return {
    outcomes: new Counter({
      name: "posthorn_emailer_outcomes_total",
      help: "Attempts by outcome: email.sent, email.deferred, email.failed, email.parked",
      labelNames: ["kind"],
      registers,
    }),
    possibleDuplicates: new Counter({
      name: "posthorn_emailer_possible_duplicates_total",
      help: "Outcomes flagged because the relay may have taken the delivery before",
      registers,
    }),
    suppressed: new Counter({
      name: "posthorn_emailer_duplicates_suppressed_total",
      help: "Redeliveries settled without sending, because their outcome was known",
      registers,
    }),
    adopted: new Counter({
      name: "posthorn_emailer_adopted_total",
      help: "Messages that came without an id of ours and were given one",
      registers,
    }),
    split: new Counter({
      name: "posthorn_emailer_split_total",
      help: "Emails to several recipients that were split into one delivery each",
      registers,
    }),
    held: new Counter({
      name: "posthorn_emailer_held_total",
      help: "Deliveries of a newer schema version, sent down the ladder to wait for a newer emailer",
      registers,
    }),
    sendSeconds: new Histogram({
      name: "posthorn_smtp_send_duration_seconds",
      help: "Time to hand one mail to the relay, taken or not",
      labelNames: ["relay"],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    acceptToSentSeconds: new Histogram({
      name: "posthorn_email_accept_to_sent_seconds",
      help: "Time from accepting an email to the relay taking it",
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400],
      registers,
    }),
    circuitOpen: new Gauge({
      name: "posthorn_relay_circuit_open",
      help: "1 while the relay is in trouble and nothing is sent to it",
      labelNames: ["relay"],
      registers,
    }),
  };
}
