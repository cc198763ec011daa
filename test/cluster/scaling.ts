import { setTimeout as sleep } from "node:timers/promises";
import type { Check } from "./check.ts";
import { expect, read, succeeds, until } from "./kubectl.ts";
import { settled, startLoad, tell } from "./load.ts";
import { depths, freshNamespace, install, RELEASE, TO_LOAD } from "./release.ts";

const MOST = 3;
const BACKLOG = 1_500;
/** Down again: five minutes of stabilisation are the HPA's default. */
const DOWN_SECONDS = 600;

/** The API by its CPU, the emailer by its backlog. */
export const scaling: Check[] = [
  { name: "install with HPA and KEDA", run: installScaled },
  { name: "HPA: more APIs under load", run: scaleApi },
  { name: "KEDA: no more emailers while every circuit is open", run: holdStill },
  { name: "KEDA: more emailers on a backlog", run: scaleEmailer },
  { name: "HPA and KEDA: back to one", run: scaleDown },
].map((check) => ({ ...check, lacks: lackingScalers }));

function lackingScalers(): string | undefined {
  if (!succeeds("get", "crd", "scaledobjects.keda.sh")) return "the cluster has no KEDA";
  return succeeds("top", "nodes") ? undefined : "the cluster has no metrics API";
}

async function installScaled(): Promise<string> {
  await freshNamespace();
  const api = "api.autoscaling.enabled=true,api.autoscaling.minReplicas=1";
  const emailer = `emailer.keda.enabled=true,emailer.keda.maxReplicas=${MOST}`;
  install(...TO_LOAD, "--set", `${api},${emailer},emailer.keda.messagesPerReplica=300`);
  startLoad();
  return "installed";
}

/** How many are wanted, by whoever scales. */
function replicas(part: string): number {
  return read("deployment", `${RELEASE}-${part}`).spec.replicas;
}

async function scaleApi(): Promise<string> {
  tell("phase=hpa&rate=100");
  const seconds = await until("there are more APIs", () => replicas("api") > 1, 180);
  const { phases } = tell("phase=rest&rate=0");
  const { accepted = 0, failed = 0, refused = 0 } = phases.at(-2) ?? {};
  await settled();
  return `${replicas("api")} after ${seconds} s; ${accepted} accepted, ${refused} refused, ${failed} failed`;
}

async function holdStill(): Promise<string> {
  const before = replicas("emailer");
  tell(`phase=busy&mode=busy&burst=${BACKLOG}`);
  await until("they wait", () => (depths()["emailer"] ?? 0) > BACKLOG * 0.9, 60);
  await sleep(90_000);
  expect(replicas("emailer") <= before, `${replicas("emailer")} emailers, for nothing`);
  return `${depths()["emailer"] ?? 0} waited for 90 s, ${replicas("emailer")} emailer`;
}

async function scaleEmailer(): Promise<string> {
  tell("mode=slow");
  const seconds = await until(
    `there are ${MOST} emailers`,
    () => replicas("emailer") === MOST,
    180,
  );
  tell("mode=well");
  const { missing, twice } = await settled();
  expect(missing === 0 && twice.length === 0, `${missing} lost, ${twice.length} twice`);
  return `${MOST} after ${seconds} s; nothing lost or doubled`;
}

async function scaleDown(): Promise<string> {
  const isDown = () => replicas("api") === 1 && replicas("emailer") === 1;
  const seconds = await until("one of each is left", isDown, DOWN_SECONDS);
  return `after ${seconds} s`;
}
