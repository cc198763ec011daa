import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** The kinds that the broker's chart makes or looks up, by the path of their API. */
const KINDS: Record<string, Record<string, string>> = {
  "/api/v1": {
    secrets: "Secret",
    configmaps: "ConfigMap",
    services: "Service",
    persistentvolumeclaims: "PersistentVolumeClaim",
  },
  "/apis/apps/v1": { statefulsets: "StatefulSet" },
  "/apis/batch/v1": { jobs: "Job" },
  "/apis/networking.k8s.io/v1": { networkpolicies: "NetworkPolicy" },
  "/apis/policy/v1": { poddisruptionbudgets: "PodDisruptionBudget" },
};

/** What of Kubernetes' API Helm asks when a template looks things up. Objects stand under `<plural>/<name>`, in any namespace. */
export async function startKubeApi(objects: Record<string, object>) {
  const server = createServer(({ url = "" }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const found = discovery(pathname) ?? objects[pathname.split("/").slice(-2).join("/")];
    response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(found ?? { kind: "Status", reason: "NotFound", code: 404 }));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () => new Promise((stopped) => server.close(stopped)),
  };
}

function discovery(path: string): object | undefined {
  if (path === "/version") return { major: "1", minor: "34", gitVersion: "v1.34.0" };
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (path === "/apis") return { kind: "APIGroupList", groups: Object.keys(KINDS).flatMap(group) };
  const kinds = KINDS[path];
  if (!kinds) return undefined;
  const resources = Object.entries(kinds).map(([name, kind]) => ({ name, kind, namespaced: true }));
  return {
    kind: "APIResourceList",
    groupVersion: path.replace(/^\/apis?\//, ""),
    resources: resources.map((each) => ({ ...each, singularName: "", verbs: ["get", "list"] })),
  };
}

function group(path: string): object[] {
  const [, root, name = "", version = ""] = path.split("/");
  const preferredVersion = { groupVersion: `${name}/${version}`, version };
  return root === "apis" ? [{ name, versions: [preferredVersion], preferredVersion }] : [];
}
