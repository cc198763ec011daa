import type { Sums } from "./books.ts";
import { BUSY } from "./faults.ts";
import { PROCESSES, type ProcessName } from "./system.ts";

/** A fault that struck, as the harness saw it. */
export interface Struck {
  name: string;
  kills: ProcessName | undefined;
  inFlight: number;
  /** How long the system took to work again after it, in milliseconds; undefined: it never did. */
  recoveryMs: number | undefined;
}

/** Everything that a run found. */
export interface Findings {
  struck: readonly Struck[];
  sums: Sums;
  uncaught: readonly string[];
  /** Messages that were still under way when patience ended. */
  stuck: number;
  /** How long the harness itself stood still, because the machine had no time for it. */
  stoodStillMs: number;
  /** It was to be brief, and cannot count. */
  brief: boolean;
}

/** A run counts with so many kills of each process, each with enough in flight. */
export const KILLS_WANTED = 30;
const RECOVERY_MAX_MS = 15_000;
const EXAMPLES = 5;

const EXIT_BROKEN = 1;
const EXIT_NOT_COUNTED = 2;

/** How many kills of a process had enough in flight to count. */
export function countKills(struck: readonly Struck[], name: ProcessName): number {
  return struck.filter(({ kills, inFlight }) => kills === name && inFlight >= BUSY).length;
}

/** One line for faults that struck together. */
export function describeStrike(faults: readonly Struck[], number: number, atMs: number): string {
  const at = `${Math.round(atMs / 1_000)} s`.padStart(7);
  const told = faults.map(({ name, inFlight }) => `${name} (${inFlight} in flight)`).join(" + ");
  const [{ recoveryMs } = { recoveryMs: 0 }] = faults;
  const end =
    recoveryMs === undefined ? "NEVER RECOVERED" : `recovered in ${inSeconds(recoveryMs)}`;
  return `${String(number).padStart(4)} ${at}  ${told}: ${end}`;
}

/** What broke the promise; nothing when it held. */
export function breaches({ struck, sums, uncaught, stuck }: Findings): string[] {
  const late = struck.filter(({ recoveryMs = Infinity }) => recoveryMs >= RECOVERY_MAX_MS);
  const counts: [string, readonly unknown[]][] = [
    ["accepted and lost", sums.lost],
    ["accepted, and not or not wholly in the record", sums.unrecorded],
    ["sent twice outside the window", sums.twiceOutside],
    ["sent twice without a flag", sums.twiceUnflagged],
    ["refused and sent all the same", sums.refusedAndSent],
    ["answers that should not be", sums.otherAnswers],
    ["errors that nobody foresaw", uncaught],
    [`recoveries that took ${RECOVERY_MAX_MS / 1_000} s or longer`, late.map(({ name }) => name)],
  ];
  const found = counts.filter(([, all]) => all.length > 0);
  const told = found.map(([what, all]) => `${all.length} ${what}: ${examples(all)}`);
  return stuck > 0 ? [...told, `${stuck} messages that never came to an end`] : told;
}

/** The sums, the verdict, and the exit status. */
export function summarize(findings: Findings): { text: string; status: number } {
  const { struck, sums, uncaught, brief } = findings;
  const longest = struck.reduce((most, { recoveryMs = Infinity }) => Math.max(most, recoveryMs), 0);
  const kills = PROCESSES.map((name) => `${name} ${countKills(struck, name)}`).join(", ");
  const enough = PROCESSES.every((name) => countKills(struck, name) >= KILLS_WANTED);
  const broken = breaches(findings);
  const rows: [string, string | number][] = [
    ["emails accepted", sums.accepted],
    ["refused", sums.refused],
    ["unknown", sums.unknown],
    ["deliveries sent", sums.sent],
    ["failed", sums.failed],
    ["parked", sums.parked],
    ["lost", sums.lost.length],
    ["not in the record", sums.unrecorded.length],
    ["twice inside the window", sums.twiceInside.length],
    ["twice outside it", sums.twiceOutside.length],
    ["twice and not flagged", sums.twiceUnflagged.length],
    ["refused and sent", sums.refusedAndSent.length],
    ["faults", struck.length],
    ["longest recovery", inSeconds(longest)],
    ["uncaught errors", uncaught.length],
    ["the harness itself stood still", inSeconds(findings.stoodStillMs)],
    [`kills with ${BUSY} or more in flight`, kills],
  ];
  const table = rows.map(([name, value]) => `  ${name.padEnd(34)} ${String(value)}`);
  const counts = enough
    ? "The run counts."
    : `The run does not count: it takes ${KILLS_WANTED} kills of each process, each with ${BUSY} or more in flight.`;
  const verdict =
    broken.length === 0
      ? ["The promise held."]
      : ["THE PROMISE IS BROKEN:", ...broken.map((breach) => `  ${breach}`)];
  const text = ["", ...table, "", counts, ...verdict].join("\n");
  if (broken.length > 0) return { text, status: EXIT_BROKEN };
  return { text, status: enough || brief ? 0 : EXIT_NOT_COUNTED };
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function examples(all: readonly unknown[]): string {
  const shown = all.slice(0, EXAMPLES).join(", ");
  return all.length > EXAMPLES ? `${shown}, …` : shown;
}
