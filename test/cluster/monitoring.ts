import { readFileSync } from "node:fs";
import { apply, expect, kubectl, NAMESPACE, until } from "./kubectl.ts";
import { CONTAINER, startPod } from "./load.ts";
import { RELEASE } from "./release.ts";

const NAME = "prometheus";
const IMAGE = "prom/prometheus:v3";

/** Of its answers, to whatever is asked. */
interface Data {
  activeTargets: { labels: { pod: string }; health: string; lastError: string }[];
  groups: { rules: object[] }[];
}

/** A plain Prometheus with the label, the rights and the configuration that docs/kubernetes-operate.md says, and the alert rules. */
export async function scrape(): Promise<string> {
  startPrometheus();
  const pods = runningPods();
  const found = () => ask("targets").activeTargets;
  const isWhole = () => {
    const up = found().filter(({ health }) => health === "up");
    return pods.every((pod) => up.some(({ labels }) => labels.pod === pod));
  };
  await until("every pod is scraped", isWhole, 60);
  const targets = found();
  const down = targets.find(({ health }) => health !== "up");
  expect(!down, `${down?.labels.pod}: ${down?.lastError}`);
  const rules = ask("rules").groups.flatMap((group) => group.rules).length;
  expect(rules > 0, "no alert rule is loaded");
  kubectl("delete", "pod", NAME, "--wait");
  return `${targets.length} targets of ${pods.length} pods are up; ${rules} alert rules`;
}

function startPrometheus(): void {
  const [metadata, apiGroup] = [{ name: NAME }, "rbac.authorization.k8s.io"];
  const rbac = { apiVersion: `${apiGroup}/v1`, metadata };
  const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] }];
  const roleRef = { apiGroup, kind: "Role", name: NAME };
  const subjects = [{ kind: "ServiceAccount", name: NAME, namespace: NAMESPACE }];
  const alerts = readFileSync("charts/wellsent/monitoring/alerts.yaml", "utf8");
  const data = { "prometheus.yml": configuration(), "alerts.yaml": alerts };
  apply(
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    { ...rbac, kind: "Role", rules },
    { ...rbac, kind: "RoleBinding", roleRef, subjects },
    { apiVersion: "v1", kind: "ConfigMap", metadata, data },
  );
  const volumeMounts = [
    { name: "configuration", mountPath: "/etc/prometheus" },
    { name: "data", mountPath: "/prometheus" },
  ];
  const spec = {
    serviceAccountName: NAME,
    containers: [{ ...CONTAINER, name: NAME, image: IMAGE, args: ARGS, volumeMounts }],
    volumes: [
      { name: "configuration", configMap: { name: NAME } },
      { name: "data", emptyDir: {} },
    ],
  };
  startPod(NAME, spec, { "wellsent.io/scrape": "true" });
}

const ARGS = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"];

/** The page's own, of this namespace. */
function configuration(): string {
  const page = readFileSync("docs/kubernetes-operate.md", "utf8");
  const block = /```yaml\n(scrape_configs:\n.*?)```/s.exec(page)?.[1] ?? "";
  return `global: {scrape_interval: 5s}\n${block.replaceAll("names: [wellsent]", `names: [${NAMESPACE}]`)}`;
}

function runningPods(): string[] {
  const parts = "app.kubernetes.io/name in (api, emailer, logger, rabbitmq)";
  const selector = `app.kubernetes.io/instance=${RELEASE},${parts}`;
  const running = ["-l", selector, "--field-selector", "status.phase=Running"];
  return kubectl("get", "pods", ...running, "-o", "jsonpath={.items[*].metadata.name}").split(" ");
}

/** Asks Prometheus, past any NetworkPolicy. */
function ask(what: string): Data {
  const path = `/api/v1/namespaces/${NAMESPACE}/pods/${NAME}:9090/proxy/api/v1/${what}`;
  return (JSON.parse(kubectl("get", "--raw", path)) as { data: Data }).data;
}
