import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { apply, kubectl, nodeOf, nodes, secretOf, until } from "./kubectl.ts";
import { rabbitmqctl, RELEASE } from "./release.ts";

/** Has Node.js; the logger's own does. */
const IMAGE = process.env["LOAD_IMAGE"] ?? "wellsent-logger:0.1.0";
const NODE = "/nodejs/bin/node";
/** Emails a second, where the load is to be steady. */
export const RATE = process.env["RATE"] ?? "100";
/** How long things may take to go on after what was away is back. */
export const AGAIN_SECONDS = 30;

/** What happened while the load had one task. */
export interface Phase {
  name: string;
  accepted: number;
  refused: number;
  unknown: number;
  failed: number;
  /** Milliseconds without a 202. */
  longestGap: number;
  /** When the first and the last request began that failed, in milliseconds since 1970; 0 without one. */
  failedFrom: number;
  failedUntil: number;
  errors: Record<string, number>;
}

/** All that the load knows. */
export interface Sum {
  accepted: number;
  came: number;
  missing: number;
  twice: string[];
  phases: Phase[];
}

/** An answer from inside the cluster. */
export interface Answer {
  status: number;
  body: unknown;
}

/** Starts the pod that is client and relay at once; `mode` is the relay's. By default it runs on a node that leads no queue. */
export function startLoad(mode = "well", node = nodeWithoutLeader()): void {
  const labels = {
    app: "load",
    "app.kubernetes.io/instance": RELEASE,
    "wellsent.io/operator": "true",
  };
  const data = { "load.mjs": readFileSync("test/cluster/load.mjs", "utf8") };
  const ports = [
    { name: "smtp", port: 2525 },
    { name: "control", port: 9000 },
  ];
  apply(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "load" }, data },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "load" },
      spec: { selector: { app: "load" }, ports },
    },
  );
  kubectl("delete", "pod", "load", "--ignore-not-found", "--wait");
  startPod("load", podSpec(mode, node), labels);
}

/** Starts a restricted pod that ends at once when it is deleted, and waits until it is ready. */
export function startPod(name: string, spec: object, labels: Record<string, string> = {}): void {
  const always = { securityContext: RESTRICTED, terminationGracePeriodSeconds: 1 };
  const metadata = { name, labels };
  apply({ apiVersion: "v1", kind: "Pod", metadata, spec: { ...spec, ...always } });
  kubectl("wait", "--for=condition=Ready", `pod/${name}`, "--timeout=60s");
}

function nodeWithoutLeader(): string {
  const leader = leaderNode();
  return nodes().find((each) => each !== leader) ?? leader;
}

function podSpec(mode: string, nodeName: string): object {
  const env = [
    { name: "API", value: `http://${RELEASE}-api:8080` },
    { name: "KEY", value: secretOf(`${RELEASE}-api-keys`, "key") },
    { name: "MODE", value: mode },
  ];
  return {
    nodeName,
    containers: [{ ...nodeContainer("load", ["/load/load.mjs"]), env, volumeMounts: [LOAD_MOUNT] }],
    volumes: [{ name: "load", configMap: { name: "load" } }],
    tolerations: [{ operator: "Exists" }],
  };
}

const LOAD_MOUNT = { name: "load", mountPath: "/load" };
/** What the restricted Pod Security Standard asks of a pod. */
const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  fsGroup: 65_532,
  seccompProfile: { type: "RuntimeDefault" },
};

/** Arguments of Node.js that do nothing, for as long as the pod is there. */
export const IDLE = ["-e", "setInterval(() => {}, 1e9)"];

/** Of every container here. */
export const CONTAINER = {
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
  resources: { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "512Mi" } },
};

/** A container that runs Node.js. */
export function nodeContainer(name: string, args: string[]): object {
  return { ...CONTAINER, name, image: IMAGE, command: [NODE, ...args] };
}

/** Runs a script in a pod that has Node.js, and returns what it printed. */
export function runIn(pod: string, script: string): string {
  return kubectl("exec", pod, "--", NODE, "--input-type=module", "-e", script);
}

/** Sets the load's task, and returns all that it knows: `phase=…` begins a phase, `rate=` is a second, `mode=` the relay's mood. */
export function tell(query: string): Sum {
  const script = `console.log(await (await fetch("http://127.0.0.1:9000/?${query}")).text())`;
  return JSON.parse(runIn("load", script)) as Sum;
}

/** Begins the next phase of the load, and returns the one before. */
export function endPhase(next: string): Phase {
  const phase = tell(`phase=${next}`).phases.at(-2);
  if (!phase) throw new Error("the load has no phase");
  return phase;
}

/** What the client saw in a phase, in words. */
export function describe({
  accepted,
  refused,
  unknown,
  failed,
  longestGap,
  failedFrom,
  failedUntil,
  errors,
}: Phase): string {
  const why = Object.entries(errors).map(([code, count]) => `${code} ${count}`);
  const within = failed > 0 ? ` of those begun within ${seconds(failedUntil - failedFrom)}` : "";
  const seen = `${accepted} accepted, ${refused} refused, ${unknown} unknown, ${failed} failed${within}`;
  return `${seen}${why.length > 0 ? ` (${why.join(", ")})` : ""}; ${seconds(longestGap)} at most without a 202`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** Asks the logger's internal port, with its token. */
export function askLogger(method: string, path: string, body?: object): Answer {
  const headers = { authorization: `Bearer ${secretOf(`${RELEASE}-internal`, "token")}` };
  const options = { method, headers, ...(body && { body: JSON.stringify(body) }) };
  return ask(`http://${RELEASE}-logger:9465${path}`, options);
}

/** A request that sends one email. */
export function sending(recipient: string) {
  const headers = {
    authorization: `Bearer ${secretOf(`${RELEASE}-api-keys`, "key")}`,
    "content-type": "application/json",
  };
  const body = JSON.stringify({ toaddr: recipient, subject: "Cluster", body: "It works." });
  return { method: "POST", headers, body };
}

/** Sends one email, and returns the answer. */
export function send(recipient: string): { status: number; body: { id: string } } {
  const answer = ask(`http://${RELEASE}-api:8080/send`, sending(recipient));
  return answer as { status: number; body: { id: string } };
}

/** Waits until a send is accepted again, and returns after how many seconds. @throws {Error} when it is not in time */
export function acceptingAgain(recipient: string): Promise<number> {
  return until("a send is accepted", () => send(recipient).status === 202, AGAIN_SECONDS);
}

/** Whether the record has an email as sent. */
export function isSent(id: string): boolean {
  return JSON.stringify(askLogger("GET", `/emails/${id}`)).includes("email.sent");
}

/** Asks a URL from the load's pod. */
function ask(url: string, options: object): Answer {
  const script = `
    const response = await fetch(${JSON.stringify(url)}, ${JSON.stringify(options)});
    console.log(JSON.stringify({ status: response.status, body: await response.json() }));`;
  return JSON.parse(runIn("load", script)) as Answer;
}

/** Waits until all that was accepted has come, or nothing more comes for two minutes. */
export async function settled(): Promise<Sum> {
  let sum = tell("");
  for (let still = 0; sum.missing > 0 && still < 24;) {
    await sleep(5_000);
    const next = tell("");
    still = next.came === sum.came ? still + 1 : 0;
    sum = next;
  }
  return sum;
}

/** The node of the leader of the queue `emailer`. */
export function leaderNode(): string {
  const listed = rabbitmqctl("list_queues", "name", "leader", "--no-table-headers");
  const pod = /^emailer\s+rabbit@([^.\s]+)/m.exec(listed)?.[1] ?? `${RELEASE}-rabbitmq-0`;
  return nodeOf(pod);
}
