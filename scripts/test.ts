import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BIN = "node_modules/.bin/";
const CHECKS = {
  format: [`${BIN}prettier`, "--check", "--log-level", "warn", "."],
  lint: [`${BIN}eslint`, "."],
  types: [`${BIN}tsc`],
  "dead code": [`${BIN}knip`],
  "docs are fresh": [process.execPath, "scripts/docs.ts", "--check"],
};
/** On the second broker only what depends on the broker: the others would take as long again. */
const HEAVY = "e2e/(audit-disk|first-light|kill|relay-outage|start)";
const reports = mkdtempSync(join(tmpdir(), "wellsent-test-"));
const sum = { passed: 0, failed: 0 };

for (const [name, command] of Object.entries(CHECKS)) await step(name, command);
await jest("tests, on this machine's RabbitMQ", ["--ignoreProjects", "compose"], {});
const hasDocker = spawnSync("docker", ["info"]).status === 0;
if (hasDocker) {
  const onBroker = ["--selectProjects", "broker", "e2e", "--testPathIgnorePatterns", HEAVY];
  await jest("broker tests on RabbitMQ 4.3 in Docker", onBroker, { BROKER_IN_DOCKER: "true" });
} else notRun("the broker tests on RabbitMQ 4.3");
if (process.argv.includes("--compose")) {
  if (hasDocker)
    await jest("images and compose", ["--selectProjects", "compose", "--runInBand"], {});
  else notRun("images and compose");
}
if (process.argv.includes("--chaos")) {
  const chaos = [process.execPath, "test/chaos/run.ts", "--seconds=120"];
  await step("two minutes of chaos", chaos);
}
rmSync(reports, { recursive: true });
process.exitCode = sum.failed === 0 ? 0 : 1;
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);

function notRun(what: string): void {
  console.log(`\nNOT RUN, because no Docker engine answers: ${what}.`);
}

/** Runs one check; it counts as one test. */
async function step(name: string, command: string[]): Promise<void> {
  const began = Date.now();
  const passed = await run(command, {});
  sum[passed ? "passed" : "failed"] += 1;
  console.log(
    `${passed ? "ok    " : "FAILED"} ${name} (${Math.round((Date.now() - began) / 1_000)} s)`,
  );
}

/** Runs Jest; each of its tests counts. A run that reports nothing has failed. */
async function jest(name: string, args: string[], env: Record<string, string>): Promise<void> {
  console.log(`\n${name}`);
  const report = join(reports, `${name.replaceAll(/\W/g, "-")}.json`);
  const exited = await run(
    [
      process.execPath,
      "node_modules/jest/bin/jest.js",
      "--json",
      `--outputFile=${report}`,
      ...args,
    ],
    env,
  );
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = readReport(report);
  sum.passed += numPassedTests;
  sum.failed += Math.max(numFailedTests + numRuntimeErrorTestSuites, exited ? 0 : 1);
}

function readReport(
  file: string,
): Record<"numPassedTests" | "numFailedTests" | "numRuntimeErrorTestSuites", number> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof readReport>;
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, numRuntimeErrorTestSuites: 1 };
  }
}

async function run(
  [command = "", ...args]: string[],
  env: Record<string, string>,
): Promise<boolean> {
  const child = spawn(command, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code === 0;
}
