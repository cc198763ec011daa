import { setTimeout as sleep } from "node:timers/promises";
import type { Check } from "./check.ts";
import { expect, kubectl, nodeOf, restarts, succeeds, until } from "./kubectl.ts";
import {
  acceptingAgain,
  AGAIN_SECONDS,
  IDLE,
  isSent,
  nodeContainer,
  runIn,
  send,
  startLoad,
  startPod,
} from "./load.ts";
import { freshNamespace, install, RELEASE, rolled } from "./release.ts";

const SECONDS = Number(process.env["OUTAGE_SECONDS"] ?? 300);

/** What is away for five minutes restarts nothing, and holds no rollout up. */
export const outages: Check[] = [
  { name: `broker away for ${SECONDS} s`, run: () => unmoved(brokerAway) },
  { name: `relay away for ${SECONDS} s, and an upgrade meanwhile`, run: () => unmoved(relayAway) },
  { name: `disk refuses for ${SECONDS} s`, run: () => unmoved(diskAway) },
];

/** n.b. the pods that an upgrade makes begin with no restart, too. */
async function unmoved(outage: () => Promise<string>): Promise<string> {
  await haveInbox();
  const before = restarts();
  const seen = await outage();
  const after = restarts();
  expect(JSON.stringify(before) === JSON.stringify(after), `restarts: ${JSON.stringify(after)}`);
  return `${seen}; no restart`;
}

/** A release with nothing set, as `basics` leaves one behind. */
async function haveInbox(): Promise<void> {
  if (succeeds("get", `deployment/${RELEASE}-inbox`, "pod/load")) return;
  await freshNamespace();
  install();
  startLoad();
}

async function brokerAway(): Promise<string> {
  scale("statefulset", "rabbitmq", 0);
  await sleep(SECONDS * 1_000);
  const { status } = send("you@example.com");
  expect(status === 503, `a send without a broker was answered ${status}`);
  scale("statefulset", "rabbitmq", 1);
  kubectl("wait", "--for=condition=Ready", `pod/${RELEASE}-rabbitmq-0`, "--timeout=120s");
  const seconds = await acceptingAgain("you@example.com");
  return `503 meanwhile, accepting ${seconds} s after it was ready`;
}

async function relayAway(): Promise<string> {
  scale("deployment", "inbox", 0);
  const { status, body } = send("you@example.com");
  expect(status === 202, `a send without a relay was answered ${status}`);
  const began = performance.now();
  install("--reuse-values", ...rolled("api", "emailer", "logger"));
  const upgrade = Math.round((performance.now() - began) / 1_000);
  await sleep(Math.max(0, SECONDS * 1_000 - (performance.now() - began)));
  scale("deployment", "inbox", 1);
  const seconds = await until("the email is sent", () => isSent(body.id), AGAIN_SECONDS);
  return `upgrade --wait took ${upgrade} s, the mail went out ${seconds} s after the relay was back`;
}

/** n.b. the volume's owner takes its own leave to write away. */
async function diskAway(): Promise<string> {
  startHand();
  chmod("0o555", "0o440");
  const { status, body } = send("you@example.com");
  expect(status === 202, `a send without a record was answered ${status}`);
  await sleep(SECONDS * 1_000);
  chmod("0o750", "0o640");
  const seconds = await until("the email is recorded", () => isSent(body.id), AGAIN_SECONDS);
  kubectl("delete", "pod", "hand", "--wait");
  return `sends accepted meanwhile, recorded ${seconds} s after`;
}

/** Of the directory, and of the audit log's files in it. */
function chmod(directory: string, files: string): void {
  const script = `
    import { chmodSync, globSync } from "node:fs";
    chmodSync("/data/audit", 0o750);
    for (const file of globSync("/data/audit/*.jsonl")) chmodSync(file, ${files});
    chmodSync("/data/audit", ${directory});`;
  runIn("hand", script);
}

function scale(kind: string, part: string, replicas: number): void {
  kubectl("scale", kind, `${RELEASE}-${part}`, `--replicas=${replicas}`);
}

/** A pod that mounts the logger's volume beside it. */
function startHand(): void {
  const container = {
    ...nodeContainer("hand", IDLE),
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  };
  const volume = { name: "data", persistentVolumeClaim: { claimName: `data-${RELEASE}-logger-0` } };
  const spec = {
    nodeName: nodeOf(`${RELEASE}-logger-0`),
    containers: [container],
    volumes: [volume],
  };
  startPod("hand", spec);
}
