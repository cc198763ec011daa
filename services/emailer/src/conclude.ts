import type { Attempt } from "./attempt.ts";
import type { Told } from "./outcomes.ts";
import type { Result } from "./passage.ts";

/** What is done with a delivery that was not taken. */
export interface Limits {
  /** A delivery refused for a while so often is parked. */
  maxAttempts: number;
  /** What becomes of a delivery whose connection was lost after the final dot. */
  onAmbiguous: "retry" | "park";
}

/** What becomes of an attempt after the relay's answer. */
export function conclude(
  { verdict }: Result,
  { number, isMarked }: Pick<Attempt, "number" | "isMarked">,
  { maxAttempts, onAmbiguous }: Limits,
): Pick<Told, "kind" | "reason"> {
  // n.b. what came marked went down a rung untried, for its twin to end.
  const isLast = number - (isMarked ? 1 : 0) >= maxAttempts;
  const isAmbiguous = verdict === "ambiguous";
  switch (verdict) {
    case "sent":
      return { kind: "email.sent" };
    case "failed":
      return { kind: "email.failed", reason: "REFUSED" };
    case "sender-refused":
      return { kind: "email.parked", reason: "SENDER_REFUSED" };
    case "ambiguous":
    case "deferred":
      if (!isLast && !(isAmbiguous && onAmbiguous === "park")) return { kind: "email.deferred" };
      return { kind: "email.parked", reason: isAmbiguous ? "AMBIGUOUS" : "ATTEMPTS_EXHAUSTED" };
  }
}
