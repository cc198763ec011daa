import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Leftovers } from "./leftovers.ts";

const BIN = "node_modules/.bin/";
const CHECKS = {
  format: [`${BIN}prettier`, "--check", "--log-level", "warn", "."],
  lint: [`${BIN}eslint`, "."],
  types: [`${BIN}tsc`],
  "dead code": [`${BIN}knip`],
  "docs are fresh": [process.execPath, "scripts/docs.ts", "--check"],
};
/** On the second broker only the tests that depend on the broker run: all of them would take as long again. */
const HEAVY = "e2e/(audit-disk|first-light|kill|relay-outage|start)";
const JEST = [process.execPath, "node_modules/jest/bin/jest.js", "--json"];

/** What this script reads of Jest's report. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
  testResults: { assertionResults: { status: string; fullName: string }[] }[];
}

const leftovers = new Leftovers();
const environment = {
  ...process.env,
  TMPDIR: leftovers.directory,
  NODE_COMPILE_CACHE: "node_modules/.cache/node",
};
const sum = { passed: 0, failed: 0 };
const hasDocker = spawnSync("docker", ["info"]).status === 0;

for (const [name, command] of Object.entries(CHECKS)) await step(name, command);
await jest("tests, on this machine's RabbitMQ", ["--ignoreProjects", "compose"]);
if (hasDocker) {
  const onBroker = ["--selectProjects", "broker", "e2e", "--testPathIgnorePatterns", HEAVY];
  await jest("broker tests on RabbitMQ 4.3 in Docker", onBroker, { BROKER_IN_DOCKER: "true" });
} else {
  notRun("the broker tests on RabbitMQ 4.3", "no Docker engine answers");
}
if (process.argv.includes("--compose")) {
  if (hasDocker) await jest("images and compose", ["--selectProjects", "compose", "--runInBand"]);
  else notRun("images and compose", "no Docker engine answers");
}
if (process.argv.includes("--chaos")) {
  const chaos = [process.execPath, "test/chaos/run.ts", "--seconds=120"];
  await step("two minutes of chaos", chaos);
}
await checkLeftovers();
process.exitCode = sum.failed === 0 ? 0 : 1;
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);

function notRun(what: string, reason: string): void {
  console.log(`\nNOT RUN, because ${reason}: ${what}.`);
}

/** Runs one check; it counts as one test. */
async function step(name: string, command: string[]): Promise<void> {
  const began = Date.now();
  conclude(name, await run(command), began);
}

function conclude(name: string, passed: boolean, began: number): void {
  sum[passed ? "passed" : "failed"] += 1;
  const seconds = Math.round((Date.now() - began) / 1_000);
  console.log(`${passed ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
}

/** The last step: the run fails if a mount, loop device, process, container or file of it is left. */
async function checkLeftovers(): Promise<void> {
  const began = Date.now();
  const left = await leftovers.collect();
  for (const thing of left) console.log(`  left behind: ${thing}`);
  conclude("nothing is left behind", left.length === 0, began);
}

/** Runs Jest; each of its tests counts. A run without a report has failed. */
async function jest(name: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  console.log(`\n${name}`);
  const file = join(leftovers.directory, "report.json");
  const succeeded = await run([...JEST, `--outputFile=${file}`, ...args], env);
  const report = readReport(file);
  rmSync(file, { force: true });
  sum.passed += report.numPassedTests;
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  sum.failed += Math.max(failed, succeeded ? 0 : 1);
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  for (const { status, fullName } of tests) {
    if (status === "pending") notRun(fullName, "it skipped itself and says why above");
  }
}

function readReport(file: string): Report {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, numRuntimeErrorTestSuites: 1, testResults: [] };
  }
}

/** Resolves to whether the command ended with 0. */
async function run(command: string[], env: NodeJS.ProcessEnv = {}): Promise<boolean> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...environment, ...env },
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code === 0;
}
