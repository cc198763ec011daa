import { meter } from "@wellsent/runtime";
import type { Registry } from "prom-client";

const HELP = {
  wellsent_emailer_outcomes_total: "Attempts by outcome: email.sent, .deferred, .failed, .parked",
  wellsent_emailer_possible_duplicates_total: "Outcomes flagged: a relay may have it already",
  wellsent_emailer_duplicates_suppressed_total: "Deliveries not sent, for their outcome was known",
  wellsent_emailer_guard_unanswered_total: "Deliveries sent though the logger did not say in time",
  wellsent_emailer_held_total: "Deliveries of a newer version, on the ladder for a newer emailer",
  wellsent_emailer_sending: "0 while sending is paused or every relay is down, else 1",
  wellsent_paused: "1 while an operator has paused sending",
  wellsent_smtp_send_duration_seconds: "Time to hand one mail to the relay, taken or not",
  wellsent_email_accept_to_sent_seconds: "Time from accepting an email to the relay taking it",
  wellsent_relay_circuit_open: "1 while the relay is down and nothing is sent to it",
  wellsent_relay_slow: "1 while every connection to the relay has waited ten seconds for a reply",
  wellsent_relay_auth_refused: "1 while the relay refuses our user or password",
  wellsent_relay_refusing_all: "1 while the relay refuses nearly all mail for good",
};
const SEND_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Up to a day: a delivery may have waited on the ladder. */
const SENT_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];

/** What the emailer counts. */
export type EmailerMetrics = ReturnType<typeof createEmailerMetrics>;

/** Creates the emailer's metrics in its registry; `paused` says whether consuming is. */
export function createEmailerMetrics(registry: Registry, paused: () => boolean = () => false) {
  const { counter, gauge, histogram, sampled } = meter(registry, HELP);
  sampled("wellsent_emailer_sending", (sending) => sending.set(paused() ? 0 : 1));
  return {
    outcomes: counter("wellsent_emailer_outcomes_total", "kind"),
    possibleDuplicates: counter("wellsent_emailer_possible_duplicates_total"),
    suppressed: counter("wellsent_emailer_duplicates_suppressed_total"),
    unanswered: counter("wellsent_emailer_guard_unanswered_total"),
    held: counter("wellsent_emailer_held_total"),
    paused: gauge("wellsent_paused"),
    sendSeconds: histogram("wellsent_smtp_send_duration_seconds", SEND_BUCKETS, "relay"),
    acceptToSentSeconds: histogram("wellsent_email_accept_to_sent_seconds", SENT_BUCKETS),
    circuitOpen: gauge("wellsent_relay_circuit_open", "relay"),
    relaySlow: gauge("wellsent_relay_slow", "relay"),
    authRefused: gauge("wellsent_relay_auth_refused", "relay"),
    refusingAll: gauge("wellsent_relay_refusing_all", "relay"),
  };
}
