import { remember } from "@wellsent/runtime";
import type { Query } from "@wellsent/contract";

/** Several times what emailers can have in their hands. */
const REMEMBERED = 20_000;
/** Longer than an emailer holds a delivery for its relay, and then waits for the final dot's answer. */
const HELD_MAX_MS = 1_200_000;
/** In so long the first copy of what was published again is attempted, or held for its relay and then asked about. */
const FIRST_MAX_MS = 120_000;

/** Who was told last that a delivery is its own to attempt. */
interface Turn {
  /** Empty for a first copy, which need not ask. */
  asker: string;
  attempt: number;
  marked: boolean;
  /** When it may be in hand no more, by the monotonic clock; 0 once the attempt's outcome is recorded. */
  until: number;
}

/** What tells copies apart. */
export type Twins = ReturnType<typeof createTwins>;

/**
 * Tells the copies of a delivery apart, so that one at a time is attempted: another that is not ahead, or comes before the
 * attempt's outcome, has a twin.
 */
export function createTwins(now = () => performance.now()) {
  const firsts = new Map<string, true>();
  const turns = new Map<string, Turn>();
  const give = (delivery: string, turn: Turn) => remember(turns, delivery, turn, REMEMBERED);
  return {
    /** An email was accepted, or published again; then its first copy's turn is now, if that was stored. */
    accepted: (delivery: string, marked: boolean): void => {
      if (!marked) remember(firsts, delivery, true, REMEMBERED);
      else if (firsts.has(delivery) && !turns.has(delivery))
        give(delivery, { asker: "", attempt: 1, marked: false, until: now() + FIRST_MAX_MS });
    },
    /** Whether a copy is in other hands; if not, it is in the asker's from now on. */
    hasTwin: ({ delivery, attempt, asker, marked = false, again = false }: Query): boolean => {
      if (attempt === undefined || asker === undefined) return false;
      // Of what was published again the first copy may be in hands that need not ask.
      if (marked && attempt === 1) return true;
      const turn = turns.get(delivery);
      if (turn && turn.asker !== asker && !isSame(turn, attempt, marked, again)) {
        if (turn.attempt >= attempt || turn.until >= now()) return true;
      }
      give(delivery, { asker, attempt, marked, until: now() + HELD_MAX_MS });
      return false;
    },
    /** An outcome of a delivery is recorded. */
    ended: (delivery: string): void => {
      const turn = turns.get(delivery);
      if (turn) turn.until = 0;
    },
  };
}

/** Whether it is the copy whose turn it is that somebody asks about: the first, or the one that an emailer died with. */
function isSame(turn: Turn, attempt: number, marked: boolean, again: boolean): boolean {
  return turn.marked === marked && (turn.asker === "" || (again && turn.attempt === attempt));
}
