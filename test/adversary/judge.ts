import type { Confirmed, Death, Line } from "../chaos/books.ts";
import type { Take } from "./relay.ts";

/** One delivery of an accepted email. */
export interface Expected {
  recipient: string;
  delivery: string;
}

/** What is known of one episode from outside, and its audit lines. */
export interface Evidence {
  expected: readonly Expected[];
  takes: readonly Take[];
  lines: readonly Line[];
  confirmed: readonly Confirmed[];
  deaths: readonly Death[];
}

/** Deliveries of one episode that broke the promise, by their ids; `inside`: duplicates that it allows. */
export interface Verdict {
  lost: string[];
  inside: string[];
  outside: string[];
  unflagged: string[];
}

/**
 * Judges an episode. A duplicate is inside the window when the second mail begins after the first one's final 250, `sent`
 * is not confirmed yet, and the emailer of the first is killed or loses the broker meanwhile. An emailer that is killed
 * between the dot and the 250 never reads the 250. The relay of the adversary never breaks off a mail.
 */
export function judge({ expected, takes, lines, confirmed, deaths }: Evidence): Verdict {
  const verdict: Verdict = { lost: [], inside: [], outside: [], unflagged: [] };
  const taken = Map.groupBy(takes, ({ recipient }) => recipient);
  for (const { recipient, delivery } of expected) {
    const own = lines.filter((line) => line.delivery === delivery);
    const mails = (taken.get(recipient) ?? []).toSorted((one, other) => one.begun - other.begun);
    const isSent = own.some(({ kind }) => kind === "email.sent");
    if (mails.length === 0 || !isSent) verdict.lost.push(delivery);
    if (mails.length < 2) continue;
    const times = confirmed.filter((each) => each.delivery === delivery).map(({ time }) => time);
    const known = Math.min(...times);
    const isInside = mails.slice(1).every((later, index) => {
      const first = mails[index];
      return first !== undefined && isAllowed(first, later, known, deaths);
    });
    (isInside ? verdict.inside : verdict.outside).push(delivery);
    if (!own.some(({ possibleDuplicate }) => possibleDuplicate)) verdict.unflagged.push(delivery);
  }
  return verdict;
}

function isAllowed(first: Take, later: Take, known: number, deaths: readonly Death[]): boolean {
  const until = Math.min(later.begun, known);
  return deaths.some(({ emailer, killed, time }) => {
    if (emailer !== first.by || time > until) return false;
    return killed ? time >= first.dot : time >= first.begun && later.begun >= first.time;
  });
}
