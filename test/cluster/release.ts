import { execFileSync } from "node:child_process";
import { helm } from "../support/helm.ts";
import { kubectl, NAMESPACE, secretOf, apply, read, until } from "./kubectl.ts";

/** The release's name, in all of its objects' names. */
export const RELEASE = "wellsent";
/** Of every installation: the objects of an upgrade are there when it returns. */
const WAIT = ["--wait", "--timeout", "15m"];
/** What a cluster asks of every installation, such as a registry or a StorageClass. */
const VALUES = process.env["VALUES"] ? ["-f", process.env["VALUES"]] : [];

/** Runs Helm in the namespace. @throws {Error} when it fails */
export function runHelm(...args: string[]): string {
  return execFileSync(helm(), ["-n", NAMESPACE, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Installs or upgrades the release and waits until all is ready; `args` are Helm's. */
export function install(...args: string[]): void {
  installFrom("charts/wellsent", ...args);
}

/** The same from a chart that is elsewhere. */
export function installFrom(chart: string, ...args: string[]): void {
  runHelm("upgrade", "--install", RELEASE, chart, ...WAIT, ...VALUES, ...args);
}

/** Settings that have the pods of these parts replaced. */
export function rolled(...parts: string[]): string[] {
  const annotations = parts.map((part) => `${part}.podAnnotations.rolled=t${Date.now()}`);
  return ["--set-string", annotations.join(",")];
}

/** Goes back to the release before. */
export function rollback(): void {
  runHelm("rollback", RELEASE, ...WAIT);
}

/** Deletes the release; its volumes stay. */
export function uninstall(): void {
  runHelm("uninstall", RELEASE, "--ignore-not-found", ...WAIT);
}

/** A namespace without anything, and with the restricted Pod Security Standard enforced. */
export async function freshNamespace(): Promise<void> {
  uninstall();
  kubectl("delete", "pods,services,configmaps,secrets,persistentvolumeclaims", "--all", "--wait");
  await until("no pod is left", () => kubectl("get", "pods", "-o", "name") === "", 120);
}

/** Makes the namespace. */
export function createNamespace(): void {
  const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
  apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels } });
}

/** Settings that make the release send to the load's own relay. */
export const TO_LOAD = [
  "--set",
  `global.relay.urls=smtp://load.${NAMESPACE}:2525,global.relay.from=wellsent@example.com`,
];

/** What must outlive an upgrade, a rollback and a reinstallation. */
export function secrets(): string {
  const kept = [
    ["rabbitmq", "password"],
    ["rabbitmq", "erlang-cookie"],
    ["api-keys", "key"],
    ["internal", "token"],
  ] as const;
  return kept.map(([name, key]) => secretOf(`${RELEASE}-${name}`, key)).join("\n");
}

/** Runs rabbitmqctl on a broker. */
export function rabbitmqctl(...args: string[]): string {
  return kubectl(
    "exec",
    `${RELEASE}-rabbitmq-0`,
    "-c",
    "rabbitmq",
    "--",
    "rabbitmqctl",
    "-q",
    ...args,
  );
}

/** Messages ready, by queue. */
export function depths(): Record<string, number> {
  const rows = rabbitmqctl("list_queues", "name", "messages", "--no-table-headers").split("\n");
  const pairs = rows
    .map((row) => row.split("\t"))
    .map(([name = "", n]) => [name, Number(n)] as const);
  return Object.fromEntries<number>(pairs);
}

/** How many pods of a workload are ready. */
export function readyReplicas(kind: string, part: string): number {
  const { status } = read(kind, `${RELEASE}-${part}`);
  return status.readyReplicas ?? 0;
}

/** The uids of a part's pods: others after a rollout. */
export function podsOf(part: string): string {
  const selector = `app.kubernetes.io/name=${part},app.kubernetes.io/instance=${RELEASE}`;
  return kubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.uid}");
}
