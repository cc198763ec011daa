import type { Query } from "@posthorn/contract";

/** Several times what emailers can have in their hands. */
const REMEMBERED = 20_000;
/** Longer than an emailer holds a delivery for its relay, and then waits for the final dot's answer. */
const HELD_MAX_MS = 1_200_000;

/** Who was told last that a delivery is its own to attempt. */
interface Turn {
  asker: string;
  attempt: number;
  marked: boolean;
  /** When it may be in hand no more, by the monotonic clock; 0 once the attempt's outcome is recorded. */
  until: number;
}

/**
 * Tells the copies of a delivery apart, so that one at a time is attempted: another that is not ahead, or comes before the
 * attempt's outcome, has a twin.
 */
export function createTwins(now = () => performance.now()) {
  const turns = new Map<string, Turn>();
  return {
    /** Whether a copy is in other hands; if not, it is in the asker's from now on. */
    hasTwin: ({ delivery, attempt, asker, marked = false, again = false }: Query): boolean => {
      if (attempt === undefined || asker === undefined) return false;
      // Of what was published again the first copy may be in hands that need not ask.
      if (marked && attempt === 1) return true;
      const turn = turns.get(delivery);
      const same = again && turn?.attempt === attempt && turn.marked === marked;
      if (turn && turn.asker !== asker && !same && !(turn.attempt < attempt && turn.until < now()))
        return true;
      turns.delete(delivery);
      turns.set(delivery, { asker, attempt, marked, until: now() + HELD_MAX_MS });
      const [oldest] = turns.keys();
      if (turns.size > REMEMBERED && oldest !== undefined) turns.delete(oldest);
      return false;
    },
    /** An outcome of a delivery is recorded. */
    ended: (delivery: string): void => {
      const turn = turns.get(delivery);
      if (turn) turn.until = 0;
    },
  };
}
