/**
 * `npm run test:cluster [-- PART…]`: what is to show on a cluster, shown on a release of its own in the current kubectl context.
 * Parts: basics, outages, lifecycle, faults, spread, scaling, overlays, skaffold. CLUSTER_KILL, CLUSTER_START, CLUSTER_CUT and
 * CLUSTER_JOIN are commands that take a node's name, for what kubectl cannot do; RATE is emails a second, VALUES a file of the
 * chart's values for every installation.
 */
import { spawnSync } from "node:child_process";
import bring from "../support/helm.ts";
import { basics, overlays } from "./basics.ts";
import type { Check } from "./check.ts";
import { faults } from "./faults.ts";
import { lifecycle } from "./lifecycle.ts";
import { outages } from "./outages.ts";
import { createNamespace } from "./release.ts";
import { scaling } from "./scaling.ts";
import { skaffold } from "./skaffold.ts";
import { spread } from "./spread.ts";

const PARTS = { basics, outages, lifecycle, faults, spread, scaling, overlays, skaffold };

type Row = [name: string, result: "passed" | "FAILED" | "NOT RUN", seen: string];

if (spawnSync("kubectl", ["get", "nodes"], { stdio: "ignore" }).status !== 0) {
  console.error("NOT RUN: no cluster answers kubectl");
  process.exit(1);
}
const wanted = process.argv.slice(2);
const unknown = wanted.filter((part) => !Object.hasOwn(PARTS, part));
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(", ")}; there are ${Object.keys(PARTS).join(", ")}`);
  process.exit(1);
}
bring();
createNamespace();
const rows: Row[] = [];
for (const [part, checks] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(part)) continue;
  for (const check of checks) rows.push(await run(check));
}
console.log("\n| what | result | seen |\n| --- | --- | --- |");
for (const row of rows) console.log(`| ${row.join(" | ")} |`);
process.exitCode = rows.some(([, result]) => result === "FAILED") ? 1 : 0;

async function run({ name, needs = [], lacks, run }: Check): Promise<Row> {
  const missing = needs.filter((variable) => !process.env[variable]);
  if (missing.length > 0) return told([name, "NOT RUN", `${missing.join(", ")} not set`]);
  try {
    const lacking = lacks?.();
    if (lacking) return told([name, "NOT RUN", lacking]);
    return told([name, "passed", await run()]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return told([name, "FAILED", message.trim().replaceAll(/\s*\n\s*/g, "; ")]);
  }
}

function told(row: Row): Row {
  console.log(`${new Date().toISOString().slice(11, 19)}  ${row.join(": ")}`);
  return row;
}
