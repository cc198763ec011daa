import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** Where the release under test lives; it is made, and emptied, by the checks. */
export const NAMESPACE = process.env["NAMESPACE"] ?? "wellsent-test";

/** Runs kubectl in the namespace and returns what it printed. @throws {Error} when it fails */
export function kubectl(...args: string[]): string {
  return execFileSync("kubectl", ["-n", NAMESPACE, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 64 * 1_024 * 1_024,
  }).trim();
}

/** The same, of which only the failure counts. */
export function succeeds(...args: string[]): boolean {
  return spawnSync("kubectl", ["-n", NAMESPACE, ...args], { stdio: "ignore" }).status === 0;
}

/** Applies objects. */
export function apply(...objects: object[]): void {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  execFileSync("kubectl", ["-n", NAMESPACE, "apply", "-f", "-"], {
    input,
    stdio: ["pipe", "ignore", "inherit"],
  });
}

/** A workload, as far as it is looked at. */
export interface KubeStatus {
  spec: { replicas: number };
  status: { readyReplicas?: number };
}

/** A workload, as it is. */
export function read(...what: string[]): KubeStatus {
  return JSON.parse(kubectl("get", ...what, "-o", "json")) as KubeStatus;
}

/** Taints of a node that was away a moment ago. */
const PASSING = /^node\.kubernetes\.io\/(not-ready|unreachable)$/;

/** The names of the nodes that take any pod: not the control plane's own, nor those that somebody has cordoned. */
export function nodes(): string[] {
  interface Node {
    metadata: { name: string };
    spec: { taints?: { key: string; effect: string }[] };
  }
  const { items } = JSON.parse(kubectl("get", "nodes", "-o", "json")) as { items: Node[] };
  const isOpen = ({ spec: { taints = [] } }: Node) =>
    taints.every(({ key, effect }) => effect === "PreferNoSchedule" || PASSING.test(key));
  return items.filter(isOpen).map(({ metadata }) => metadata.name);
}

/** A pod's node. */
export function nodeOf(pod: string): string {
  return kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}");
}

/** What a Secret holds under a key. */
export function secretOf(name: string, key: string): string {
  const path = `jsonpath={.data.${key.replaceAll(".", "\\.")}}`;
  return Buffer.from(kubectl("get", "secret", name, "-o", path), "base64").toString();
}

/** Runs something while a Service's port is forwarded to this machine, where the URL says. */
export async function forwarded<T>(
  service: string,
  port: number,
  run: (url: string) => Promise<T>,
): Promise<T> {
  const args = ["-n", NAMESPACE, "port-forward", `svc/${service}`, `:${port}`];
  const forward = spawn("kubectl", args, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const signal = AbortSignal.timeout(30_000);
    const [line] = (await once(forward.stdout, "data", { signal })) as [Buffer];
    const local = /127\.0\.0\.1:\d+/.exec(line.toString())?.[0];
    if (!local) throw new Error(`kubectl port-forward says: ${line.toString()}`);
    return await run(`http://${local}`);
  } finally {
    forward.kill();
  }
}

/** Restarts of the containers, by pod; those of none at all are left out. */
export function restarts(): Record<string, number> {
  const path =
    "{range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}";
  const counts = new Map<string, number>();
  for (const pair of kubectl("get", "pods", "-o", `jsonpath=${path}`).split(" ")) {
    const [pod = "", count] = pair.split("=");
    if (Number(count) > 0) counts.set(pod, Number(count));
  }
  return Object.fromEntries(counts);
}

/** Waits until a condition holds; one that throws does not hold yet. @throws {Error} when it is late, with the condition's name */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  seconds: number,
): Promise<number> {
  const began = performance.now();
  const passed = () => (performance.now() - began) / 1_000;
  const holds = async () => {
    try {
      return await isSo();
    } catch {
      return false;
    }
  };
  while (!(await holds())) {
    if (passed() > seconds) throw new Error(`${what}: not so after ${seconds} s`);
    await sleep(1_000);
  }
  return Math.round(passed());
}

/** @throws {Error} saying what is not so */
export function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise);
}
