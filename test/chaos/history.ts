import type { Evidence, Sums } from "./books.ts";

const EXAMPLES = 3;

/** What is known of some of the deliveries that broke the promise, in the order of time; empty when it held. */
export function histories({ lost, unrecorded, ...sums }: Sums, evidence: Evidence): string {
  const faulty = [lost, unrecorded, sums.twiceOutside, sums.twiceUnflagged];
  const examples = new Set(faulty.flatMap((deliveries) => deliveries.slice(0, EXAMPLES)));
  return [...examples].map((delivery) => history(delivery, evidence)).join("\n");
}

function history(delivery: string, { takes, lines, confirmed, deaths }: Evidence): string {
  const [id, recipient] = delivery.split(".");
  const taken = takes.filter(
    (take) => take.emailId === id && take.recipient.includes(`-${recipient ?? ""}@`),
  );
  const seen = lines.filter((line) => line.delivery === delivery);
  const events = [
    ...taken.map(({ time, begun, session }) => ({
      time,
      text: `taken from ${session.by}, begun ${time - begun} ms before, ${afterwards(time, session)}`,
    })),
    ...seen.map(({ time, kind, possibleDuplicate }) => ({
      time,
      text: possibleDuplicate ? `${kind}, flagged` : kind,
    })),
    ...confirmed
      .filter((each) => each.delivery === delivery)
      .map(({ time }) => ({ time, text: "the broker confirmed sent" })),
  ];
  const first = Math.min(...events.map(({ time }) => time));
  const last = Math.max(...events.map(({ time }) => time));
  const between = deaths.filter(({ time }) => time >= first && time <= last);
  const ends = between.map(({ time, emailer, killed }) => ({
    time,
    text: killed ? `${emailer} killed` : `${emailer} lost a connection to the broker`,
  }));
  const all = [...events, ...ends].toSorted((a, b) => a.time - b.time);
  const told = all.map(({ time, text }) => `    ${new Date(time).toISOString()} ${text}`);
  return [`  ${delivery}`, ...told].join("\n");
}

function afterwards(
  time: number,
  { begun, brokenOff }: Evidence["takes"][number]["session"],
): string {
  if (begun > time) return "and its connection went on";
  return brokenOff === undefined
    ? "the last on its connection"
    : `its connection was broken off ${brokenOff - time} ms later`;
}
