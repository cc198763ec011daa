import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Check } from "./check.ts";
import { expect, succeeds, until } from "./kubectl.ts";

const API = "http://localhost:8080";
const LIVE_SECONDS = 10;
const TITLE = "There is nothing at this path";
/** Lines that anybody can see changed: of a source, and of what it reads. */
const CHANGES = [
  [
    "packages/http/src/problem.ts",
    "{ type, title,",
    "{ type, title: `${title}, or so`,",
    ", or so",
  ],
  ["packages/http/src/problems.ts", TITLE, "A changed line", "A changed line"],
] as const;

/** `skaffold` on a clone, in the namespace that its configuration names. SKAFFOLD_DEFAULT_REPO is Skaffold's own. */
export const skaffold: Check[] = [
  { name: "skaffold run", run: () => timed("run") },
  { name: "skaffold verify", run: () => timed("verify") },
  { name: "skaffold delete", run: () => timed("delete") },
  { name: "skaffold dev: a changed line is live", run: dev },
  { name: "skaffold dev: Ctrl-C leaves nothing", run: leave },
].map((check) => ({ ...check, lacks }));

const clone = mkdtempSync(join(tmpdir(), "wellsent-skaffold-"));
let running: ChildProcess | undefined;
let taken: boolean | undefined;

/** n.b. the namespace is the one that docs/kubernetes.md names: what is in it before the first of these is somebody's. */
function lacks(): string | undefined {
  if (spawnSync("skaffold", ["version"]).status !== 0) return "there is no skaffold";
  taken ??= succeeds("get", "deployment", "wellsent-api", "-n", "wellsent");
  return taken
    ? "the namespace wellsent has a release, which they would replace and delete"
    : undefined;
}

function timed(command: string): string {
  const began = performance.now();
  if (command === "run") execFileSync("git", ["clone", "-q", process.cwd(), clone]);
  execFileSync("skaffold", [command], { cwd: clone, stdio: ["ignore", "ignore", "inherit"] });
  return `${Math.round((performance.now() - began) / 1_000)} s`;
}

async function dev(): Promise<string> {
  running = spawn("skaffold", ["dev"], { cwd: clone, stdio: ["ignore", "ignore", "inherit"] });
  const ready = await until("the API answers", () => says(TITLE), 600);
  const seconds: number[] = [];
  for (const [file, from, to, shown] of CHANGES) {
    await sleep(5_000);
    const path = join(clone, file);
    const text = readFileSync(path, "utf8");
    expect(text.includes(from), `${file} has no ${from}`);
    writeFileSync(path, text.replace(from, to));
    seconds.push(await until(`${file} is live`, () => says(shown), LIVE_SECONDS));
  }
  return `up after ${ready} s, changed lines live after ${seconds.join(" and ")} s`;
}

async function says(title: string): Promise<boolean> {
  const text = fetch(`${API}/nothing`).then((response) => response.text());
  return (await text.catch(() => "")).includes(title);
}

async function leave(): Promise<string> {
  if (!running) throw new Error("it never ran");
  const ended = once(running, "exit");
  running.kill("SIGINT");
  await ended;
  const kinds = "all,configmaps,persistentvolumeclaims,secrets,networkpolicies";
  const list = ["-n", "wellsent", "get", kinds, "-o", "name"];
  const isLeft = (name: string) => name !== "" && !name.includes("kube-root-ca.crt");
  const left = () => execFileSync("kubectl", list, { encoding: "utf8" }).split("\n").filter(isLeft);
  await until("the pods are gone", () => !left().some((name) => name.startsWith("pod/")), 120);
  expect(left().length === 0, `left: ${left().join(", ")}`);
  return "no object is left";
}
