import { execFileSync } from "node:child_process";
import type { Check } from "./check.ts";
import { expect, forwarded, kubectl, NAMESPACE, succeeds, until } from "./kubectl.ts";
import { IDLE, isSent, nodeContainer, runIn, send, sending, startLoad, startPod } from "./load.ts";
import { scrape } from "./monitoring.ts";
import { freshNamespace, install, podsOf, RELEASE, runHelm } from "./release.ts";

const READY_SECONDS = 90;

/** One install with nothing set. */
export const basics: Check[] = [
  { name: "install with nothing set, restricted", run: installPlain },
  { name: "helm test", run: helmTest },
  { name: "a send by kubectl port-forward", run: sendForwarded },
  { name: "the record survives its pod", run: recordSurvives },
  { name: "NetworkPolicies", run: knock },
  { name: "a plain Prometheus", run: scrape },
  { name: "a new image rolls its own pods only", run: rollOne },
];

async function installPlain(): Promise<string> {
  await freshNamespace();
  const began = performance.now();
  install();
  const seconds = Math.round((performance.now() - began) / 1_000);
  expect(seconds < READY_SECONDS, `ready after ${seconds} s`);
  startLoad();
  return `ready after ${seconds} s`;
}

function helmTest(): string {
  return /Phase: .*/.exec(runHelm("test", RELEASE))?.[0] ?? "passed";
}

/** As the chart's notes print it. */
async function sendForwarded(): Promise<string> {
  const id = await forwarded(`${RELEASE}-api`, 8080, async (url) => {
    const answer = await fetch(`${url}/send`, sending("you@example.com"));
    expect(answer.status === 202, `the send was answered ${answer.status}`);
    return ((await answer.json()) as { id: string }).id;
  });
  return `sent and recorded after ${await until("it is recorded as sent", () => isSent(id), 30)} s`;
}

async function recordSurvives(): Promise<string> {
  const { status, body } = send("you@example.com");
  expect(status === 202, `the send was answered ${status}`);
  const isKnown = () => isSent(body.id);
  const sent = await until("the email is recorded as sent", isKnown, 30);
  kubectl("delete", "pod", `${RELEASE}-logger-0`, "--wait");
  kubectl("wait", "--for=condition=Ready", `pod/${RELEASE}-logger-0`, "--timeout=60s");
  await until("the record knows it again", isKnown, 30);
  return `sent and recorded after ${sent} s, and known to the next pod`;
}

/** Who asks, from a pod of its own, and what may open. */
const CALLERS: Record<string, { labels: Record<string, string>; opens: string[] }> = {
  stranger: { labels: {}, opens: ["api:8080"] },
  prometheus: {
    labels: { "wellsent.io/scrape": "true" },
    opens: ["api:8080", "api:9464", "emailer:9464", "logger:9464", "rabbitmq-nodes:15692"],
  },
};
const PORTS = [
  "api:8080",
  "api:9464",
  "emailer:9464",
  "logger:9464",
  "logger:9465",
  "rabbitmq:5672",
  "rabbitmq-nodes:15672",
  "rabbitmq-nodes:15692",
  "rabbitmq-nodes:25672",
  "inbox:1025",
  "inbox:1080",
];

function knock(): string {
  const opened = Object.entries(CALLERS).map(([name, { labels, opens }]) => {
    startPod(name, { containers: [nodeContainer(name, IDLE)] }, labels);
    const seen = JSON.parse(runIn(name, KNOCK)) as string[];
    kubectl("delete", "pod", name, "--wait");
    expect(seen.join() === opens.join(), `a ${name} opens ${seen.join(", ") || "nothing"}`);
    return `a ${name} opens ${seen.join(", ")}`;
  });
  return opened.join("; ");
}

/** Which ports open; a name that is not resolved is an error, a metrics port has to tell metrics. */
const KNOCK = `
import { lookup } from "node:dns/promises";
import net from "node:net";
const opened = [];
await new Promise((resolve) => setTimeout(resolve, 5_000));
for (const place of ${JSON.stringify(PORTS)}) {
  const [part, port] = place.split(":");
  const { address } = await lookup("${RELEASE}-" + part);
  const socket = net.connect({ host: address, port });
  const isOpen = await new Promise((resolve) => {
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    setTimeout(resolve, 2_000, false);
  });
  socket.destroy();
  if (!isOpen) continue;
  opened.push(place);
  if (port !== "9464" && port !== "15692") continue;
  const text = await (await fetch("http://" + address + ":" + port + "/metrics")).text();
  if (!text.includes("# HELP")) throw new Error(place + " tells no metrics");
}
console.log(JSON.stringify(opened));
process.exit();`;

async function rollOne(): Promise<string> {
  const others = () => ["api", "logger", "rabbitmq"].map(podsOf).join();
  const [before, emailer] = [others(), podsOf("emailer")];
  const image = ["--set", "emailer.image.tag=another"];
  runHelm("upgrade", RELEASE, "charts/wellsent", "--reuse-values", ...image);
  const isReplaced = () => podsOf("emailer") !== emailer;
  try {
    const seconds = await until("the emailer's pod is replaced", isReplaced, 30);
    expect(others() === before, "another part's pods were replaced too");
    return `a new emailer's pod after ${seconds} s, all others untouched`;
  } finally {
    runHelm("rollback", RELEASE, "--wait");
  }
}

/** Every object of every overlay with all options on, as the API server sees it. */
export const overlays: Check[] = [
  { name: "server dry run of every overlay", lacks: lackingKinds, run: dryRun },
];

function lackingKinds(): string | undefined {
  const wanted = ["scaledobjects.keda.sh", "servicemonitors.monitoring.coreos.com"];
  const missing = wanted.filter((name) => !succeeds("get", "crd", name));
  return missing.length > 0 ? `the cluster has no ${missing.join(", ")}` : undefined;
}

const ALL_OPTIONS = [
  "global.monitoring.enabled=true,global.rabbitmq.tls.enabled=true,global.articleExchange=logs",
  "api.autoscaling.enabled=true,emailer.keda.enabled=true",
  "api.ingress.enabled=true,api.ingress.host=mail.example.com,api.ingress.tlsSecret=tls",
];
/** n.b. the Gateway API is on few clusters, and is no part of Kubernetes. */
const ROUTE = "api.httpRoute.enabled=true,api.httpRoute.parentRefs[0].name=gateway";

function dryRun(): string {
  const hasRoutes = succeeds("get", "crd", "httproutes.gateway.networking.k8s.io");
  const options = [...ALL_OPTIONS, ...(hasRoutes ? [ROUTE] : [])].join(",");
  const counts = ["dev", "ha", "production"].map((overlay) => {
    const values = ["-f", `k8s/values/${overlay}.yaml`, "--set", options];
    const input = runHelm("template", "dry", "charts/wellsent", ...values);
    const args = ["-n", NAMESPACE, "apply", "--dry-run=server", "-f", "-"];
    const told = execFileSync("kubectl", args, { input, encoding: "utf8" });
    return `${overlay} ${told.trim().split("\n").length}`;
  });
  const without = hasRoutes ? "" : "; no HTTPRoute, as the cluster has no Gateway API";
  return `objects accepted: ${counts.join(", ")}${without}`;
}
