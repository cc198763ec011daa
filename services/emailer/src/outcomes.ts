import type { Publication, Publisher } from "@posthorn/chassis";
import { newEmailId, OUTCOME_TYPE, OUTCOMES_EXCHANGE, type Outcome } from "@posthorn/contract";
import type { EmailerMetrics } from "./metrics.ts";

/** Publishes outcomes; a delivery is settled only after its outcome is confirmed. */
export type RecordOutcome = (outcome: Outcome) => Promise<void>;

/** Creates the function that records outcomes, through any outage of the broker. */
export function createRecorder(publisher: Publisher, metrics: EmailerMetrics): RecordOutcome {
  return async (outcome) => {
    await publisher.publishUntilConfirmed(toPublication(outcome));
    metrics.outcomes.inc({ kind: outcome.kind });
    if (outcome.possibleDuplicate) metrics.possibleDuplicates.inc();
  };
}

/** n.b. the messageId is the event's id: the same however often it is published. */
function toPublication(outcome: Outcome): Publication {
  return {
    exchange: OUTCOMES_EXCHANGE,
    routingKey: outcome.kind,
    messageId: newEmailId(),
    type: OUTCOME_TYPE,
    timestamp: Date.parse(outcome.time),
    body: Buffer.from(JSON.stringify(outcome)),
  };
}
