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
  switch (verdict) {
    case "sent":
      return { kind: "email.sent" };
    case "failed":
      return { kind: "email.failed", reason: "REFUSED" };
    case "sender-refused":
      return { kind: "email.parked", reason: "SENDER_REFUSED" };
    case "ambiguous":
      return isLast || onAmbiguous === "park"
        ? { kind: "email.parked", reason: "AMBIGUOUS" }
        : { kind: "email.deferred" };
    case "deferred":
      return isLast
        ? { kind: "email.parked", reason: "ATTEMPTS_EXHAUSTED" }
        : { kind: "email.deferred" };
  }
}
