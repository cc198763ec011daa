import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { SABOTAGES, type Sabotage } from "./sabotage.ts";

/** What a run goes by. */
export interface Options {
  /** The run goes on until so many emails were accepted, and every process was killed often enough. */
  emails: number;
  /** Emails requested a second. */
  rate: number;
  /** Of the schedule and of everything that is left to chance; the same seed gives the same schedule. */
  seed: number;
  /** Ends the load after so many seconds, whatever was reached: a brief run, which does not count. */
  seconds: number | undefined;
  /** What is broken on purpose. */
  sabotage: Sabotage | undefined;
}

const DEFAULT_EMAILS = 200_000;
/** A system that was broken on purpose need not run for long. */
const SABOTAGED_SECONDS = 120;
const DEFAULT_RATE = 200;
/** Nine digits, which is what an option may have. */
const SEED_MAX = 1_000_000_000;

/** Reads the command's arguments, or ends the process with a line that names the option. */
export function readOptions(args: string[]): Options {
  try {
    return parse(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(64);
  }
}

function parse(args: string[]): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: { emails: text, rate: text, seed: text, seconds: text, sabotage: text },
  });
  const { sabotage } = values;
  if (sabotage !== undefined && !isSabotage(sabotage)) {
    throw new Error(`--sabotage must be one of ${Object.keys(SABOTAGES).join(", ")}`);
  }
  const seconds = sabotage === undefined ? undefined : SABOTAGED_SECONDS;
  return {
    emails: whole("emails", values.emails, DEFAULT_EMAILS),
    rate: whole("rate", values.rate, DEFAULT_RATE),
    seed: whole("seed", values.seed, randomInt(SEED_MAX)),
    seconds: values.seconds === undefined ? seconds : whole("seconds", values.seconds, 0),
    sabotage,
  };
}

function whole(name: string, text: string | undefined, byDefault: number): number {
  if (text === undefined) return byDefault;
  if (!/^\d{1,9}$/.test(text)) {
    throw new Error(`--${name} must be a whole number of at most nine digits`);
  }
  return Number(text);
}

function isSabotage(name: string): name is Sabotage {
  return Object.hasOwn(SABOTAGES, name);
}
