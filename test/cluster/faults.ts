import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { BROKERS, brokersReady, firstVolumeLost, thin, twoGone } from "./brokers.ts";
import type { Check } from "./check.ts";
import { expect, kubectl, nodeOf, nodes, restarts, until } from "./kubectl.ts";
import {
  AGAIN_SECONDS,
  askLogger,
  describe,
  endPhase,
  leaderNode,
  RATE,
  settled,
  startLoad,
  tell,
} from "./load.ts";
import { freshNamespace, install, RELEASE, rolled, TO_LOAD } from "./release.ts";

/** Helm's arguments for `ha.yaml` with the load as its relay. */
export const HA = ["-f", "k8s/values/ha.yaml", ...TO_LOAD];

/** Three brokers, and what may happen to a cluster under load; counted at both ends. */
export const faults: Check[] = [
  { name: "ha: three brokers on three nodes", run: installHa },
  { name: "ha: upgrade that rolls every pod", run: () => underLoad("upgrade", rollEverything) },
  { name: "ha: drain of each node in turn", run: () => underLoad("drain", drainEach) },
  {
    name: "ha: the leaders' node loses power",
    needs: ["CLUSTER_KILL", "CLUSTER_START"],
    run: () => underLoad("kill", () => away("CLUSTER_KILL", "CLUSTER_START")),
  },
  {
    name: "ha: a broker's node is cut off",
    needs: ["CLUSTER_CUT", "CLUSTER_JOIN"],
    run: () => underLoad("cut", () => away("CLUSTER_CUT", "CLUSTER_JOIN")),
  },
  { name: "ha: two of three brokers gone", run: twoGone },
  { name: "ha: all brokers down, the first one's volume lost", run: firstVolumeLost },
  { name: "ha: every 202 counted", run: countAll },
].map((check) => ({ ...check, lacks: lackingNodes }));

/** Says why a check that needs three nodes cannot run. */
export function lackingNodes(): string | undefined {
  const { length } = nodes();
  return length < BROKERS
    ? `${length} nodes that take any pod, and ${BROKERS} are needed`
    : undefined;
}

async function installHa(): Promise<string> {
  await freshNamespace();
  install(...HA);
  startLoad();
  const places = [0, 1, 2].map((ordinal) => nodeOf(`${RELEASE}-rabbitmq-${ordinal}`));
  expect(new Set(places).size === BROKERS, `the brokers are on ${places.join(", ")}`);
  await until("every queue has three members", () => thin("members").length === 0, 120);
  return `on ${places.join(", ")}; every queue with three members`;
}

/** Gives the load a phase, lets something happen, and says what the client saw of it. */
async function underLoad(name: string, happen: () => Promise<void> | void): Promise<string> {
  tell(`phase=${name}&rate=${RATE}`);
  await sleep(5_000);
  await happen();
  await sleep(10_000);
  const phase = endPhase("rest");
  const unserved = phase.refused + phase.unknown + phase.failed;
  const isPlanned = name === "upgrade" || name === "drain";
  expect(phase.accepted > 0, describe(phase));
  expect(!isPlanned || unserved === 0, describe(phase));
  expect(phase.longestGap < AGAIN_SECONDS * 1_000, describe(phase));
  return describe(phase);
}

async function rollEverything(): Promise<void> {
  const before = running();
  install(...HA, ...rolled("api", "emailer", "logger", "rabbitmq"));
  const isNew = () => running().every((uid) => !before.includes(uid));
  await until("every pod is another one", isNew, 60);
}

/** The uids of the release's pods, without those of Jobs that have ended. */
function running(): string[] {
  const ours = `app.kubernetes.io/part-of=wellsent,app.kubernetes.io/instance=${RELEASE}`;
  const only = ["-l", ours, "--field-selector=status.phase=Running"];
  return kubectl("get", "pods", ...only, "-o", "jsonpath={.items[*].metadata.uid}").split(" ");
}

async function drainEach(): Promise<void> {
  const how = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s"];
  for (const node of nodes()) {
    try {
      kubectl("drain", node, ...how, "--pod-selector=app!=load");
    } finally {
      kubectl("uncordon", node);
    }
    await brokersReady();
  }
}

/** Takes the leaders' node away for a minute; another one where the load is there. */
async function away(take: string, bring: string): Promise<void> {
  const leader = leaderNode();
  const load = nodeOf("load");
  const node = nodes().find((each) => each !== load && (leader === load || each === leader)) ?? "";
  command(take, node);
  await sleep(60_000);
  command(bring, node);
  await brokersReady();
}

/** Runs the command in an environment variable with a node's name. */
export function command(variable: string, node: string): void {
  const [program = "", ...args] = (process.env[variable] ?? "").split(" ");
  execFileSync(program, [...args, node], { stdio: "ignore" });
}

async function countAll(): Promise<string> {
  tell("phase=end&rate=0");
  const { accepted, came, missing, twice } = await settled();
  const flagged = twice.filter(isFlagged).length;
  const sum = `${accepted} accepted, ${came} came, ${missing} lost, ${twice.length} twice, of them ${flagged} flagged`;
  expect(missing === 0 && flagged === twice.length, sum);
  return `${sum}; restarts ${JSON.stringify(restarts())}`;
}

function isFlagged(id: string): boolean {
  const { body } = askLogger("GET", `/emails/${id.slice(0, 36)}`);
  const { deliveries } = body as { deliveries: { possibleDuplicate: boolean }[] };
  return deliveries.some(({ possibleDuplicate }) => possibleDuplicate);
}
