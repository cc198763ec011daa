import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Check } from "./check.ts";
import { expect, until } from "./kubectl.ts";
import { askLogger, startLoad, tell } from "./load.ts";
import {
  depths,
  freshNamespace,
  install,
  installFrom,
  rollback,
  secrets,
  TO_LOAD,
  uninstall,
} from "./release.ts";

const EACH = 500;
/** Short, so that what waits comes soon; one rung is long enough to be seen on. */
const SETTINGS = [
  ...TO_LOAD,
  "--set-string",
  "emailer.env.RETRY_LADDER=10s\\,30s,emailer.env.MAX_ATTEMPTS=1000",
];

/** With 500 messages on the ladder and 500 parked, through everything that Helm can do to a release. */
export const lifecycle: Check[] = [
  { name: "1,000 messages under the previous chart", run: fill },
  { name: "upgrade from the previous chart", run: () => kept(() => install(...SETTINGS)) },
  { name: "rollback", run: () => kept(rollback) },
  { name: "uninstall, and reinstall on the kept volumes", run: () => kept(reinstall) },
  { name: "each of the 1,000 sent once", run: release },
];

let before = "";

async function fill(): Promise<string> {
  await freshNamespace();
  const previous = git("log", "-1", "--skip=1", "--format=%h", "--", "charts");
  installFrom(chartOf(previous), ...SETTINGS);
  startLoad();
  // n.b. in this order: what waits would be refused with the others.
  tell(`phase=parked&mode=no&burst=${EACH}`);
  await until("they are parked", () => parked() === EACH, 60);
  tell(`phase=ladder&mode=later&burst=${EACH}`);
  await until("they are on the ladder", () => onLadder() === EACH, 60);
  before = secrets();
  return `chart of ${previous}: ${onLadder()} on the ladder, ${parked()} parked`;
}

function git(...args: string[]): string {
  return execFileSync("git", args, { encoding: "utf8" }).trim();
}

function chartOf(commit: string): string {
  const directory = mkdtempSync(join(tmpdir(), "wellsent-chart-"));
  const archive = execFileSync("git", ["archive", commit, "charts"], { maxBuffer: 1e8 });
  execFileSync("tar", ["-x", "-C", directory], { input: archive });
  return join(directory, "charts/wellsent");
}

/** On a rung, or on their way from one to the next. */
function onLadder(): number {
  const counts = Object.entries(depths());
  return counts
    .filter(([name]) => /^emailer\.(wait|attempt)\./.test(name))
    .reduce((sum, [, count]) => sum + count, 0);
}

function parked(): number {
  return depths()["emailer.parked"] ?? 0;
}

/** Passwords, cookie, mail and record after something was done to the release. */
async function kept(happen: () => void): Promise<string> {
  happen();
  startLoad("later");
  // n.b. what is on its way from one queue to the next is counted in both.
  const isThere = () => onLadder() >= EACH && parked() === EACH;
  await until("all messages are there", isThere, 60).catch(() => {
    throw new Error(`${onLadder()} on the ladder, ${parked()} parked`);
  });
  expect(secrets() === before, "a password, the cookie, a key or a token has changed");
  const listed = () => (askLogger("GET", "/parked").body as { total: number }).total;
  await until("the record lists what is parked", () => listed() === EACH, 60);
  return `${EACH} on the ladder, ${EACH} parked and listed; password, cookie, key and token as before`;
}

function reinstall(): void {
  uninstall();
  install(...SETTINGS);
}

/** n.b. the load has begun anew since it sent them, so it counts what came and not what it was told. */
async function release(): Promise<string> {
  tell("mode=well");
  const { status } = askLogger("POST", "/parked/replay", { all: true });
  expect(status === 202, `the replay was answered ${status}`);
  const seconds = await until("each has come", () => tell("").came === 2 * EACH, 180);
  const { came, twice } = tell("");
  expect(twice.length === 0, `${twice.length} came twice`);
  return `${came} came within ${seconds} s, none twice`;
}
