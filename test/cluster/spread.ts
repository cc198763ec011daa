import { setTimeout as sleep } from "node:timers/promises";
import { brokersReady } from "./brokers.ts";
import type { Check } from "./check.ts";
import { command, HA, lackingNodes } from "./faults.ts";
import { expect, kubectl, nodes, until } from "./kubectl.ts";
import { describe, endPhase, RATE, startLoad, tell } from "./load.ts";
import { freshNamespace, install, readyReplicas, RELEASE, rolled } from "./release.ts";

const ROLLOUTS = 4;
const REPLICAS = 3;
/** How long the node is without power. */
const AWAY_SECONDS = 90;

/** Where the API's pods run, and what a client sees when one of these nodes is lost. */
export const spread: Check[] = [
  { name: `ha: API pods by node after each of ${ROLLOUTS} rollouts`, run: roll },
  {
    name: "ha: the node with the most API pods loses power",
    needs: ["CLUSTER_KILL", "CLUSTER_START"],
    run: loseNode,
  },
].map((check) => ({ ...check, lacks: lackingNodes }));

async function roll(): Promise<string> {
  await freshNamespace();
  install(...HA);
  const seen = [];
  for (let rollout = 0; rollout < ROLLOUTS; rollout++) {
    install(...HA, ...rolled("api"));
    await until("only new pods run", () => apiNodes().length === REPLICAS, 60);
    seen.push(perNode(apiNodes()).join("+"));
  }
  expect(
    seen.every((each) => each === "1+1+1"),
    seen.join(", "),
  );
  return seen.join(", ");
}

async function loseNode(): Promise<string> {
  const counts = Map.groupBy([...nodes(), ...apiNodes()], (node) => node);
  const byPods = [...counts].sort(([, a], [, b]) => b.length - a.length).map(([node]) => node);
  const [lost = "", , kept] = byPods;
  startLoad("well", kept);
  tell(`phase=kill&rate=${RATE}`);
  await sleep(5_000);
  command("CLUSTER_KILL", lost);
  const whole = await replaced(lost);
  command("CLUSTER_START", lost);
  const phase = endPhase("rest");
  tell("rate=0");
  await brokersReady();
  const pods = (counts.get(lost) ?? []).length - 1;
  return `${pods} of ${REPLICAS} API pods lost: ${describe(phase)}; ${whole}`;
}

/** Waits for as long as the node is away, and says when there were as many API pods as before elsewhere. */
async function replaced(lost: string): Promise<string> {
  const began = performance.now();
  const passed = () => Math.round((performance.now() - began) / 1_000);
  let whole = "not replaced meanwhile";
  while (passed() < AWAY_SECONDS) {
    const elsewhere = apiNodes().filter((node) => node !== lost);
    if (whole.startsWith("not") && elsewhere.length === REPLICAS && readyApi() === REPLICAS) {
      whole = `replaced after ${passed()} s`;
    }
    await sleep(1_000);
  }
  return whole;
}

function readyApi(): number {
  return readyReplicas("deployment", "api");
}

/** The nodes of the API's pods that are not about to go, one for each pod. */
function apiNodes(): string[] {
  const selector = `app.kubernetes.io/name=api,app.kubernetes.io/instance=${RELEASE}`;
  const pods = JSON.parse(kubectl("get", "pods", "-l", selector, "-o", "json")) as {
    items: { metadata: { deletionTimestamp?: string }; spec: { nodeName?: string } }[];
  };
  const staying = pods.items.filter(({ metadata }) => !metadata.deletionTimestamp);
  return staying.map(({ spec }) => spec.nodeName ?? "none");
}

/** How many there are of each, most first. */
function perNode(all: readonly string[]): number[] {
  const groups = Map.groupBy(all, (node) => node);
  return [...groups.values()].map(({ length }) => length).sort((a, b) => b - a);
}
