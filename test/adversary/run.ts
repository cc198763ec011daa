import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { startBroker } from "../support/broker-process.ts";
import { runEpisode, type Outcome } from "./episode.ts";
import { Lane } from "./lane.ts";

/** Emailers in each lane; the lanes run beside each other. */
const LANES = [2, 4];

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { seeds: text, first: text, sources: text } });
const seeds = Number(values.seeds ?? 50);
const first = Number(values.first ?? 1);
const root = resolve(values.sources ?? ".");
const directory = mkdtempSync(join(tmpdir(), "wellsent-adversary-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
let keepsLogs = false;
// Services and broker end with this process, because Linux ends them.
process.once("exit", () => {
  if (!keepsLogs) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
});

console.log(`npm run adversary -- --seeds=${seeds} --first=${first}`);
delete process.env["AMQP_URL"];
const broker = await startBroker({ dir: join(directory, "rabbitmq") });
const outcomes: Outcome[] = [];
let next = first;
const lanes = LANES.map((emailers) => {
  const name = `lane-${emailers}`;
  return new Lane({ broker, root, directory: join(directory, name), name, emailers });
});
await Promise.all(lanes.map((lane) => lane.start()));
await Promise.all(lanes.map(runLane));
const uncaught = lanes.flatMap((lane) => lane.uncaught());
await Promise.all(lanes.map((lane) => lane.stop()));
await broker.end();
process.exit(report());

async function runLane(lane: Lane): Promise<void> {
  while (next < first + seeds) {
    const outcome = await runEpisode(lane, next++);
    outcomes.push(outcome);
    console.log(describe(outcome, lane.emailers.length));
  }
}

function describe(outcome: Outcome, emailers: number): string {
  const { seed, what, accepted, seconds, lost, inside, outside, unflagged } = outcome;
  const counts = [accepted, lost.length, inside.length, outside.length, unflagged.length];
  const cells = [seed, emailers, ...counts, seconds.toFixed(1)].map((cell) =>
    String(cell).padStart(6),
  );
  return `${cells.join("")}  ${what}`;
}

/** Prints the sums; returns the exit status. */
function report(): number {
  const sum = (key: "lost" | "inside" | "outside" | "unflagged") =>
    outcomes.reduce((total, outcome) => total + outcome[key].length, 0);
  const accepted = outcomes.reduce((total, outcome) => total + outcome.accepted, 0);
  const [lost, outside, unflagged] = [sum("lost"), sum("outside"), sum("unflagged")];
  console.log(`
  deliveries accepted        ${accepted}
  lost                       ${lost}
  twice inside the window    ${sum("inside")}
  twice outside it           ${outside}
  twice and not flagged      ${unflagged}
  uncaught errors            ${uncaught.length}
`);
  for (const line of uncaught.slice(0, 10)) console.log(line);
  const isBroken = lost + outside + unflagged + uncaught.length > 0;
  keepsLogs = isBroken;
  console.log(isBroken ? `THE PROMISE IS BROKEN; logs are in ${directory}.` : "The promise held.");
  return isBroken ? 1 : 0;
}
