/**
 * `npm run test:cluster`: what may happen to a cluster happens to a release of its own, in the current kubectl context, under
 * load; what was lost, doubled or refused is counted at both ends. CLUSTER_KILL, CLUSTER_START, CLUSTER_CUT and CLUSTER_JOIN are
 * commands that take a node's name, for the faults that kubectl cannot make; RATE is emails a second.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import bring, { helm } from "../support/helm.ts";

const NAMESPACE = process.env["NAMESPACE"] ?? "posthorn-test";
const RATE = process.env["RATE"] ?? "100";
const RELEASE = "posthorn";
const LOAD_IMAGE = process.env["LOAD_IMAGE"] ?? "posthorn-logger:0.1.0";
const only = process.argv.slice(2);

interface Phase {
  name: string;
  accepted: number;
  refused: number;
  unknown: number;
  failed: number;
  longestGap: number;
  errors: Record<string, number>;
}
interface Sum {
  accepted: number;
  came: number;
  missing: number;
  twice: string[];
  phases: Phase[];
}

/** What happens, in this order; each under load, and with a rest after it. */
const FAULTS: Record<string, () => Promise<void> | void> = {
  calm: () => sleep(20_000).then(() => undefined),
  upgrade: () => install("--set-string", ...rollEverything()),
  drain: async () => {
    for (const node of nodes()) {
      kubectl(
        "drain",
        node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=300s",
        "--pod-selector=app!=load",
      );
      kubectl("uncordon", node);
      await brokersReady();
    }
  },
  kill: async () => {
    const node = otherNode();
    await fault("CLUSTER_KILL", node, 60_000);
    await fault("CLUSTER_START", node, 0);
    await brokersReady();
  },
  cut: async () => {
    const node = otherNode();
    await fault("CLUSTER_CUT", node, 60_000);
    await fault("CLUSTER_JOIN", node, 0);
    await brokersReady();
  },
};

const began = Date.now();
prepare();
install();
startLoad();
for (const [name, happen] of Object.entries(FAULTS)) {
  if (only.length > 0 && !only.includes(name)) continue;
  if (needs(name) && !process.env[needs(name)]) {
    console.log(`NOT RUN: ${name}, because ${needs(name)} is not set`);
    continue;
  }
  tell(`phase=${name}&rate=${RATE}`);
  console.log(`${stamp()} ${name}`);
  await happen();
  await sleep(10_000);
}
tell("phase=end&rate=0");
const sum = await settled();
report(sum);
process.exitCode = sum.missing > 0 ? 1 : 0;

function needs(name: string): string {
  return name === "kill" ? "CLUSTER_KILL" : name === "cut" ? "CLUSTER_CUT" : "";
}

function prepare(): void {
  apply({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: NAMESPACE, labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
  });
}

function install(...more: string[]): void {
  const relay = `global.relay.urls=smtp://load.${NAMESPACE}:2525,global.relay.from=posthorn@example.com`;
  const values = ["-f", "k8s/values/ha.yaml", "--set", relay, ...more];
  const release = ["upgrade", "--install", RELEASE, "charts/posthorn", "-n", NAMESPACE, ...values];
  bring();
  execFileSync(helm(), [...release, "--wait", "--timeout", "15m"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

function rollEverything(): string[] {
  const parts = ["api", "emailer", "logger", "rabbitmq"];
  return [parts.map((part) => `${part}.podAnnotations.rolled=t${Date.now()}`).join(",")];
}

function startLoad(): void {
  const key = secretOf(`${RELEASE}-api-keys`, "key");
  const leader = leaderNode();
  const node = nodes().find((each) => each !== leader);
  const labels = { app: "load" };
  apply({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "load" },
    data: { "load.mjs": readFileSync("test/cluster/load.mjs", "utf8") },
  });
  apply({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "load" },
    spec: {
      selector: labels,
      ports: [
        { name: "smtp", port: 2525 },
        { name: "control", port: 9000 },
      ],
    },
  });
  const container = {
    name: "load",
    image: LOAD_IMAGE,
    command: ["/nodejs/bin/node", "/load/load.mjs"],
    env: [
      { name: "API", value: `http://${RELEASE}-api:8080` },
      { name: "KEY", value: key },
    ],
    volumeMounts: [{ name: "load", mountPath: "/load" }],
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
  };
  const securityContext = {
    runAsNonRoot: true,
    runAsUser: 65532,
    seccompProfile: { type: "RuntimeDefault" },
  };
  kubectl("delete", "pod", "load", "--ignore-not-found", "--wait");
  apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "load", labels },
    spec: {
      nodeName: node,
      containers: [container],
      securityContext,
      volumes: [{ name: "load", configMap: { name: "load" } }],
      tolerations: [{ operator: "Exists" }],
    },
  });
  kubectl("wait", "--for=condition=Ready", "pod/load", "--timeout=60s");
}

/** The node of the leader of the queue `emailer`. */
function leaderNode(): string {
  const listed = kubectl(
    "exec",
    `${RELEASE}-rabbitmq-0`,
    "-c",
    "rabbitmq",
    "--",
    "rabbitmqctl",
    "-q",
    "list_queues",
    "name",
    "leader",
    "--no-table-headers",
  );
  const pod = /^emailer\s+rabbit@([^.\s]+)/m.exec(listed)?.[1] ?? `${RELEASE}-rabbitmq-0`;
  return nodeOf(pod);
}

/** The leader's node, or another one where the load is there. */
function otherNode(): string {
  const load = nodeOf("load");
  const leader = leaderNode();
  return leader === load ? (nodes().find((node) => node !== load) ?? leader) : leader;
}

async function fault(variable: string, node: string, lastsMs: number): Promise<void> {
  const [command = "", ...args] = (process.env[variable] ?? "").split(" ");
  execFileSync(command, [...args, node], { stdio: "ignore" });
  console.log(`${stamp()}   ${variable} ${node}`);
  await sleep(lastsMs);
}

async function brokersReady(): Promise<void> {
  for (let tries = 0; tries < 60; tries += 1) {
    const { status, spec } = JSON.parse(
      kubectl("get", "statefulset", `${RELEASE}-rabbitmq`, "-o", "json"),
    ) as Record<string, { readyReplicas?: number; replicas: number }>;
    if (status?.readyReplicas === spec?.replicas) return;
    await sleep(5_000);
  }
  throw new Error("the brokers are not ready after five minutes");
}

function tell(query: string): Sum {
  const script = `fetch("http://127.0.0.1:9000/?${query}").then(r=>r.text()).then(console.log)`;
  return JSON.parse(kubectl("exec", "load", "--", "/nodejs/bin/node", "-e", script)) as Sum;
}

/** Waits until all that was accepted has come, or nothing more comes. */
async function settled(): Promise<Sum> {
  let sum = tell("");
  for (let still = 0; sum.missing > 0 && still < 24;) {
    await sleep(5_000);
    const next = tell("");
    still = next.came === sum.came ? still + 1 : 0;
    sum = next;
  }
  return sum;
}

function report({ phases, accepted, came, missing, twice }: Sum): void {
  console.log(
    "\n| phase | accepted | refused | unknown | failed | longest time without a 202 |\n| --- | --- | --- | --- | --- | --- |",
  );
  for (const { name, longestGap, errors, ...counts } of phases.slice(1)) {
    console.log(
      `| ${name} | ${counts.accepted} | ${counts.refused} | ${counts.unknown} | ${counts.failed} | ${(longestGap / 1_000).toFixed(1)} s | ${JSON.stringify(errors)}`,
    );
  }
  console.log(
    `\naccepted ${accepted}, came ${came}, lost ${missing}, twice ${twice.length}; restarts ${restarts()}; ${Math.round((Date.now() - began) / 1_000)} s`,
  );
  if (twice.length > 0) console.log("twice:", twice.slice(0, 20).join(" "));
}

function restarts(): string {
  const path =
    "{range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}";
  return kubectl("get", "pods", "-o", `jsonpath=${path}`).trim();
}

function nodes(): string[] {
  return kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split(" ");
}

function nodeOf(pod: string): string {
  return kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}");
}

function secretOf(name: string, key: string): string {
  return Buffer.from(
    kubectl("get", "secret", name, "-o", `jsonpath={.data.${key}}`),
    "base64",
  ).toString();
}

function apply(object: object): void {
  execFileSync("kubectl", ["-n", NAMESPACE, "apply", "-f", "-"], {
    input: JSON.stringify(object),
    stdio: ["pipe", "ignore", "inherit"],
  });
}

function kubectl(...args: string[]): string {
  return execFileSync("kubectl", ["-n", NAMESPACE, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

function stamp(): string {
  return `${String(Math.round((Date.now() - began) / 1_000)).padStart(4)} s`;
}
