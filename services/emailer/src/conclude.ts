import type { Settlement } from "@posthorn/chassis";
import { timeOfEmailId } from "@posthorn/contract";
import type { Attempt } from "./attempt.ts";
import type { Mail } from "./mail.ts";
import type { EmailerMetrics } from "./metrics.ts";
import type { RecordOutcome, Told } from "./outcomes.ts";
import { park, type ParkOptions } from "./park.ts";
import type { Result } from "./relay.ts";

/** What drawing the conclusion needs. */
export interface ConcludeOptions extends ParkOptions {
  maxAttempts: number;
  onAmbiguous: "retry" | "park";
  metrics: Pick<EmailerMetrics, "acceptToSentSeconds">;
}

/** What becomes of a delivery after the relay's answer: the outcome is recorded and confirmed, then it is settled. */
export async function conclude(
  attempt: Attempt,
  mail: Mail,
  { verdict, reply, relay }: Result,
  options: ConcludeOptions,
): Promise<Settlement> {
  const { maxAttempts, onAmbiguous, record, metrics } = options;
  const told = { reply, mail, relay };
  const doubtful = { ...attempt, possibleDuplicate: true };
  const exhausted = attempt.number >= maxAttempts;
  switch (verdict) {
    case "sent":
      await record("email.sent", attempt, told);
      metrics.acceptToSentSeconds.observe((Date.now() - timeOfEmailId(attempt.id.email)) / 1_000);
      return "ack";
    case "failed":
      await record("email.failed", attempt, { ...told, reason: "REFUSED" });
      return "ack";
    case "sender-refused":
      return park(attempt, { ...told, reason: "SENDER_REFUSED" }, options);
    case "ambiguous":
      return onAmbiguous === "park" || exhausted
        ? park(doubtful, { ...told, reason: "AMBIGUOUS" }, options)
        : retry(doubtful, told, record);
    case "deferred":
      return exhausted
        ? park(attempt, { ...told, reason: "ATTEMPTS_EXHAUSTED" }, options)
        : retry(attempt, told, record);
  }
}

/** Down the ladder: the rejection is one atomic step inside the broker. */
async function retry(attempt: Attempt, told: Told, record: RecordOutcome): Promise<Settlement> {
  await record("email.deferred", attempt, told);
  return "reject";
}
