import type { Sent } from "./load.ts";
import type { Take } from "./relay.ts";

/** What the books need of a line of the audit log. */
export interface Line {
  kind: string;
  delivery: string;
  /** Milliseconds since the epoch. */
  time: number;
  possibleDuplicate: boolean;
}

/** That an emailer was killed, or lost a connection to the broker. */
export interface Death {
  emailer: string;
  killed: boolean;
  time: number;
}

/** That the broker confirmed the outcome `sent` of a delivery, as it came by on its way to the emailer. */
export interface Confirmed {
  delivery: string;
  time: number;
}

/** What was seen from outside, and what the system itself says. */
export interface Evidence {
  /** By number. */
  sent: readonly Sent[];
  takes: readonly Take[];
  /** Recipients that the relay refused for good. */
  refused: ReadonlySet<string>;
  lines: readonly Line[];
  /** Delivery ids of the messages that rest in the queue of the parked. */
  parked: readonly string[];
  confirmed: readonly Confirmed[];
  deaths: readonly Death[];
}

/** Deliveries, by their ids or what else tells them. */
export interface Sums {
  accepted: number;
  refused: number;
  unknown: number;
  /** Deliveries of accepted emails by their ends. */
  sent: number;
  failed: number;
  parked: number;
  /** Those that came to no end. */
  lost: string[];
  /** Those whose acceptance or end is not in the record. */
  unrecorded: string[];
  /** Taken more than once: within the window that remains, outside of it, and without a flag in the record. */
  twiceInside: string[];
  twiceOutside: string[];
  twiceUnflagged: string[];
  /** Recipients of requests that were refused, and whose mail was sent all the same. */
  refusedAndSent: string[];
  /** Answers that should not be, by their numbers. */
  otherAnswers: string[];
}

/** What is known of one delivery. */
interface Fate {
  taken: boolean;
  refused: boolean;
  parked: boolean;
  kinds: ReadonlySet<string>;
}

/** Draws up the sums. */
export function balance(evidence: Evidence): Sums {
  const { sent } = evidence;
  // Recipients are as unique as deliveries: a request's number and their own are in them.
  const takes = Map.groupBy(evidence.takes, ({ recipient }) => recipient);
  const lines = Map.groupBy(evidence.lines, ({ delivery }) => delivery);
  const parked = new Set(evidence.parked);
  const sums: Sums = {
    ...count(sent),
    ...{ sent: 0, failed: 0, parked: 0, lost: [], unrecorded: [] },
    ...{ twiceInside: [], twiceOutside: [], twiceUnflagged: [], refusedAndSent: [] },
    otherAnswers: sent.flatMap(({ outcome, status }, number) =>
      outcome === "other" ? [`${number}: ${status}`] : [],
    ),
  };
  for (const { outcome, id, recipients } of sent) {
    if (outcome !== "accepted" || id === undefined) continue;
    for (const [index, recipient] of recipients.entries()) {
      const delivery = `${id}.${index}.0`;
      const kinds = new Set(lines.get(delivery)?.map(({ kind }) => kind));
      const taken = takes.has(recipient);
      const refused = evidence.refused.has(recipient);
      const end = endOf({ taken, refused, parked: parked.has(delivery), kinds });
      if (end === undefined) sums.lost.push(delivery);
      else sums[end] += 1;
      const recorded = kinds.has("email.accepted") && (!end || kinds.has(`email.${end}`));
      if (!recorded) sums.unrecorded.push(delivery);
    }
  }
  judgeRepeats(takes, lines, evidence, sums);
  judgeRefused(evidence, sums);
  return sums;
}

/** n.b. the relay's word counts before the record's: what it never took was not sent, whatever the record says. */
function endOf({ taken, refused, parked, kinds }: Fate): "sent" | "failed" | "parked" | undefined {
  if (taken && kinds.has("email.sent")) return "sent";
  if (refused && kinds.has("email.failed")) return "failed";
  // The relay may have taken it all the same, and broken off each time before it said so.
  if (parked) return "parked";
  return taken ? "sent" : undefined;
}

function judgeRepeats(
  takes: ReadonlyMap<string, readonly Take[]>,
  lines: ReadonlyMap<string, readonly Line[]>,
  { confirmed, deaths }: Evidence,
  sums: Sums,
): void {
  const confirms = Map.groupBy(confirmed, ({ delivery }) => delivery);
  for (const [recipient, taken] of takes) {
    if (taken.length < 2) continue;
    // n.b. who began later may have been taken sooner.
    const all = taken.toSorted((one, other) => one.begun - other.begun);
    const delivery = `${all[0]?.emailId ?? ""}.${indexOf(recipient)}.0`;
    const known = Math.min(...(confirms.get(delivery) ?? []).map(({ time }) => time));
    const pairs = all.slice(1).map((later, index) => [all[index] ?? later, later] as const);
    const inside = pairs.every(([first, later]) => isInside(first, later, known, deaths));
    (inside ? sums.twiceInside : sums.twiceOutside).push(delivery);
    if (!lines.get(delivery)?.some(({ possibleDuplicate }) => possibleDuplicate)) {
      sums.twiceUnflagged.push(delivery);
    }
  }
}

/**
 * Returns whether a mail had to be sent again. Something ended between the two, while `sent` was not confirmed yet: the
 * connection to the relay, and no other mail on it shows that the 250 arrived; the emailer; or its connection to the broker,
 * which handed the mail to another one. An emailer that lost only the broker is still talking to the relay, so
 * a second mail that begins before the first one's 250 is outside. `known`: when `sent` was confirmed.
 */
function isInside(first: Take, later: Take, known: number, deaths: readonly Death[]): boolean {
  const { by, begun, brokenOff = Infinity } = first.session;
  const explains = (time: number) => time >= first.begun && time <= later.begun && time <= known;
  if (begun <= first.begun && explains(brokenOff)) return true;
  const isHandedOver = later.session.by !== by && later.begun >= first.time;
  return deaths.some(
    ({ emailer, killed, time }) => emailer === by && explains(time) && (killed || isHandedOver),
  );
}

function judgeRefused({ sent, takes }: Evidence, sums: Sums): void {
  for (const { recipient } of takes) {
    const outcome = sent[numberOf(recipient)]?.outcome;
    if (outcome === "refused") sums.refusedAndSent.push(recipient);
  }
}

function count(sent: readonly Sent[]): Pick<Sums, "accepted" | "refused" | "unknown"> {
  const of = (wanted: Sent["outcome"]) => sent.filter(({ outcome }) => outcome === wanted).length;
  return { accepted: of("accepted"), refused: of("refused"), unknown: of("unknown") };
}

function numberOf(recipient: string): number {
  return Number(/^n(\d+)-/.exec(recipient)?.[1]);
}

function indexOf(recipient: string): number {
  return Number(/^n\d+-(\d+)@/.exec(recipient)?.[1]);
}
