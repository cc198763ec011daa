import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Check } from "./check.ts";
import { expect, kubectl, nodeOf, nodes, restarts, until } from "./kubectl.ts";
import { askLogger, leaderNode, send, settled, startLoad, tell } from "./load.ts";
import type { Phase, Sum } from "./load.ts";
import {
  freshNamespace,
  install,
  rabbitmqctl,
  readyReplicas,
  RELEASE,
  rolled,
  TO_LOAD,
} from "./release.ts";

const RATE = process.env["RATE"] ?? "100";
const HA = ["-f", "k8s/values/ha.yaml", ...TO_LOAD];
const BROKERS = 3;
const AGAIN_SECONDS = 30;

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

function lackingNodes(): string | undefined {
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

/** The queues with fewer members than brokers, or fewer that are online. */
function thin(which: "members" | "online"): string[] {
  const rows = rabbitmqctl("list_queues", "name", which, "--no-table-headers").split("\n");
  return rows.filter((row) => (row.match(/rabbit@/g) ?? []).length < BROKERS);
}

/** Gives the load a phase, lets something happen, and says what the client saw of it. */
async function underLoad(name: string, happen: () => Promise<void> | void): Promise<string> {
  tell(`phase=${name}&rate=${RATE}`);
  await sleep(5_000);
  await happen();
  await sleep(10_000);
  const phase = ended(tell("phase=rest"));
  const unserved = phase.refused + phase.unknown + phase.failed;
  const isPlanned = name === "upgrade" || name === "drain";
  expect(phase.accepted > 0, describe(phase));
  expect(!isPlanned || unserved === 0, describe(phase));
  expect(phase.longestGap < AGAIN_SECONDS * 1_000, describe(phase));
  return describe(phase);
}

function ended({ phases }: Sum): Phase {
  const phase = phases.at(-2);
  if (!phase) throw new Error("the load has no phase");
  return phase;
}

function describe({ accepted, refused, unknown, failed, longestGap, errors }: Phase): string {
  const why = Object.entries(errors).map(([code, count]) => `${code} ${count}`);
  const seen = `${accepted} accepted, ${refused} refused, ${unknown} unknown, ${failed} failed`;
  return `${seen}${why.length > 0 ? ` (${why.join(", ")})` : ""}; ${(longestGap / 1_000).toFixed(1)} s at most without a 202`;
}

async function rollEverything(): Promise<void> {
  const before = running();
  install(...HA, ...rolled("api", "emailer", "logger", "rabbitmq"));
  const isNew = () => running().every((uid) => !before.includes(uid));
  await until("every pod is another one", isNew, 60);
}

/** The uids of the release's pods, without those of Jobs that have ended. */
function running(): string[] {
  const ours = `app.kubernetes.io/part-of=posthorn,app.kubernetes.io/instance=${RELEASE}`;
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

function command(variable: string, node: string): void {
  const [program = "", ...args] = (process.env[variable] ?? "").split(" ");
  execFileSync(program, [...args, node], { stdio: "ignore" });
}

async function brokersReady(): Promise<void> {
  await until(
    "all brokers are ready",
    () => readyReplicas("statefulset", "rabbitmq") === BROKERS,
    300,
  );
}

/** What the client saw while two brokers might run nowhere. */
function withoutMajority(): Promise<Phase> {
  return whileCordoned(async () => {
    removeAtOnce(1, 2);
    await sleep(10_000);
    tell(`phase=two gone&rate=${RATE}`);
    await sleep(20_000);
    return ended(tell("phase=back"));
  });
}

/** Runs something while no node takes a pod. */
async function whileCordoned<T>(run: (cordoned: string[]) => Promise<T>): Promise<T> {
  const cordoned = nodes();
  try {
    for (const node of cordoned) kubectl("cordon", node);
    return await run(cordoned);
  } finally {
    for (const node of cordoned) kubectl("uncordon", node);
  }
}

/** Ends brokers as a power cut would. */
function removeAtOnce(...ordinals: number[]): void {
  const pods = ordinals.map((ordinal) => `${RELEASE}-rabbitmq-${ordinal}`);
  kubectl("delete", "pod", ...pods, "--force", "--grace-period=0");
}

/** No majority, so no 202; and work again as soon as there is one. */
async function twoGone(): Promise<string> {
  const gone = await withoutMajority();
  const back = await until(
    "a second broker is ready",
    () => readyReplicas("statefulset", "rabbitmq") > 1,
    300,
  );
  const accepting = await until(
    "a send is accepted",
    () => send("load@example.com").status === 202,
    AGAIN_SECONDS,
  );
  await brokersReady();
  tell("phase=rest&rate=0");
  expect(gone.accepted === 0, `${gone.accepted} accepted without a majority`);
  expect(gone.refused > 0, `nothing was refused: ${describe(gone)}`);
  return `without a majority ${describe(gone)}; a second broker ready after ${back} s, accepting ${accepting} s later`;
}

/** The first comes back empty, and long before the others: it is to wait for their cluster, with the mail that is in it. */
async function firstVolumeLost(): Promise<string> {
  const waiting = tell("phase=first volume lost&mode=busy&burst=200").accepted;
  await until("the backlog is accepted", () => tell("").accepted === waiting + 200, 60);
  const others = [1, 2].map((ordinal) => nodeOf(`${RELEASE}-rabbitmq-${ordinal}`));
  await whileCordoned(async (cordoned) => {
    removeAtOnce(0, 1, 2);
    kubectl("delete", "pvc", `data-${RELEASE}-rabbitmq-0`, "--wait");
    for (const node of cordoned.filter((each) => !others.includes(each))) kubectl("uncordon", node);
    await sleep(60_000);
  });
  const ready = await until("all brokers are ready", isWhole, 180);
  expect(send("load@example.com").status === 202, "a send was not accepted");
  tell("mode=well");
  return `three brokers and every member of every queue ${ready} s after the others could start`;
}

function isWhole(): boolean {
  return readyReplicas("statefulset", "rabbitmq") === BROKERS && thin("online").length === 0;
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
