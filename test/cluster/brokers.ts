import { setTimeout as sleep } from "node:timers/promises";
import { expect, kubectl, nodeOf, nodes, until } from "./kubectl.ts";
import { acceptingAgain, describe, endPhase, RATE, send, tell, type Phase } from "./load.ts";
import { rabbitmqctl, readyReplicas, RELEASE } from "./release.ts";

/** How many there are in `ha.yaml`. */
export const BROKERS = 3;

/** The queues with fewer members than brokers, or fewer that are online. */
export function thin(which: "members" | "online"): string[] {
  const rows = rabbitmqctl("list_queues", "name", which, "--no-table-headers").split("\n");
  return rows.filter((row) => (row.match(/rabbit@/g) ?? []).length < BROKERS);
}

/** Waits until all brokers are. @throws {Error} after five minutes */
export async function brokersReady(): Promise<void> {
  await until("all brokers are ready", allReady, 300);
}

/** What the client saw while two brokers might run nowhere. */
function withoutMajority(): Promise<Phase> {
  return whileCordoned(async () => {
    removeAtOnce(1, 2);
    await sleep(10_000);
    tell(`phase=two gone&rate=${RATE}`);
    await sleep(20_000);
    return endPhase("back");
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
export async function twoGone(): Promise<string> {
  const gone = await withoutMajority();
  const back = await until(
    "a second broker is ready",
    () => readyReplicas("statefulset", "rabbitmq") > 1,
    300,
  );
  const accepting = await acceptingAgain("load@example.com");
  await brokersReady();
  tell("phase=rest&rate=0");
  expect(gone.accepted === 0, `${gone.accepted} accepted without a majority`);
  expect(gone.refused > 0, `nothing was refused: ${describe(gone)}`);
  return `without a majority ${describe(gone)}; a second broker ready after ${back} s, accepting ${accepting} s later`;
}

/** The first comes back empty, and long before the others: it is to wait for their cluster, with the mail that is in it. */
export async function firstVolumeLost(): Promise<string> {
  const waiting = tell("phase=first volume lost&mode=busy&burst=200").accepted;
  await until("the backlog is accepted", () => tell("").accepted === waiting + 200, 60);
  const others = [1, 2].map((ordinal) => nodeOf(`${RELEASE}-rabbitmq-${ordinal}`));
  await whileCordoned(async (cordoned) => {
    removeAtOnce(0, 1, 2);
    kubectl("delete", "pvc", `data-${RELEASE}-rabbitmq-0`, "--wait");
    for (const node of cordoned.filter((each) => !others.includes(each))) kubectl("uncordon", node);
    await sleep(60_000);
  });
  const isWhole = () => allReady() && thin("online").length === 0;
  const ready = await until("every broker and member of a queue is there", isWhole, 180);
  expect(send("load@example.com").status === 202, "a send was not accepted");
  tell("mode=well");
  return `three brokers and every member of every queue ${ready} s after the others could start`;
}

function allReady(): boolean {
  return readyReplicas("statefulset", "rabbitmq") === BROKERS;
}
