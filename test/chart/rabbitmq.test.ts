import { describe, expect, it } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { renderChart, type KubeObject } from "../support/helm.ts";

const CHART = "charts/wellsent/charts/rabbitmq";
const SCRIPTS = `${CHART}/files`;

interface Port {
  name?: string;
  port?: number | string;
  containerPort?: number;
  endPort?: number;
}
interface Probe {
  exec?: { command: string[] };
  failureThreshold: number;
  periodSeconds: number;
}
interface Container {
  image: string;
  command?: string[];
  env: { name: string; value?: string }[];
  ports: Port[];
  readinessProbe: object;
  resources: { requests: Record<string, string> };
  livenessProbe?: object;
  startupProbe: Probe;
  lifecycle: { preStop: { exec: { command: string[] } } };
}
interface Pod {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: {
    terminationGracePeriodSeconds: number;
    enableServiceLinks: boolean;
    containers: [Container];
    initContainers: [Container];
  };
}

/** What the objects have that are looked at; each kind has some of it. */
interface Found extends KubeObject {
  data: Record<string, string>;
  spec: KubeObject["spec"] & {
    template: Pod;
    selector: Record<string, string>;
    volumeClaimTemplates: [{ metadata: { labels: object } }];
    ingress: { ports: Port[]; from: { podSelector: { matchLabels: object } }[] }[];
  };
}

function set(values: string): KubeObject[] {
  const { objects, error } = renderChart(CHART, "r", ...(values ? ["--set", values] : []));
  expect(error).toBe("");
  return objects;
}

function only(objects: readonly KubeObject[], kind: string, name = "r-rabbitmq"): Found {
  const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found as Found;
}

const has = (objects: readonly KubeObject[], kind: string) =>
  objects.some((each) => each.kind === kind);
const conf = (objects: readonly KubeObject[]) =>
  only(objects, "ConfigMap").data["10-chart.conf"] ?? "";
const podOf = (objects: readonly KubeObject[]) => only(objects, "StatefulSet").spec.template;
const setting = (objects: readonly KubeObject[], key: string) =>
  conf(objects)
    .split("\n")
    .find((line) => line.startsWith(`${key} = `))
    ?.slice(key.length + 3);
const envOf = (pod: Pod, name: string) =>
  pod.spec.containers[0].env.find((each) => each.name === name)?.value;

describe("the broker's chart alone", () => {
  it("finds peers without the API, under the same names with one node as with five", () => {
    const names = ["1", "3", "5"].map((count) => {
      const objects = set(`replicaCount=${count}`);
      expect(setting(objects, "cluster_formation.peer_discovery_backend")).toBe("k8s");
      expect(setting(objects, "cluster_formation.target_cluster_size_hint")).toBe(count);
      expect(objects.map(({ kind }) => kind)).not.toContain("Role");
      return envOf(podOf(objects), "RABBITMQ_NODENAME");
    });

    expect(new Set(names)).toEqual(new Set(["rabbit@$(POD_NAME).r-rabbitmq-nodes.ns"]));
  });

  it("lets nodes that are not ready find each other, and clients only those that are", () => {
    const objects = set("replicaCount=3");
    const headless = only(objects, "Service", "r-rabbitmq-nodes");
    const clients = only(objects, "Service");

    expect(headless.spec).toMatchObject({ clusterIP: "None", publishNotReadyAddresses: true });
    expect(clients.spec).not.toHaveProperty("publishNotReadyAddresses");
    expect(only(objects, "StatefulSet").spec).toMatchObject({
      podManagementPolicy: "Parallel",
      serviceName: "r-rabbitmq-nodes",
    });
  });

  it("routes clients to brokers, never to the Job beside them", () => {
    const objects = set("");
    const { selector } = only(objects, "Service").spec;
    const job = objects.find(({ kind }) => kind === "Job") as unknown as {
      spec: { template: Pod };
    };
    const matches = (labels: Record<string, string>) =>
      Object.entries(selector).every(([key, value]) => labels[key] === value);

    expect(matches(podOf(objects).metadata.labels)).toBe(true);
    expect(matches(job.spec.template.metadata.labels)).toBe(false);
  });

  it.each([
    ["1Gi", 858_993_460],
    ["512Mi", 429_496_730],
    ["1.5Gi", 1_288_490_189],
    ["500M", 400_000_000],
    ["64Gi", 66_571_993_088],
    ["2G", 1_600_000_000],
    ["1000000k", 800_000_000],
    ["1073741824", 858_993_460],
  ])("tells the broker of a limit of %s in bytes, less a fifth or 2 GiB", (limit, bytes) => {
    const objects = set(`resources.limits.memory=${limit}`);

    expect(setting(objects, "total_memory_available_override_value")).toBe(String(bytes));
  });

  it("understands a number of bytes in a values file", () => {
    const json = "resources.limits.memory=1073741824";
    const { objects } = renderChart(CHART, "r", "--set-json", json);

    expect(setting(objects, "total_memory_available_override_value")).toBe("858993460");
  });

  it.each([
    ["resources.limits.memory=512Mi", "512Mi"],
    ["resources.limits.memory=2Gi,resources.requests.memory=1Gi", "1Gi"],
  ])("asks for as much memory as the limit is, if nothing else is said: %s", (values, memory) => {
    const [{ resources }] = podOf(set(values)).spec.containers;

    expect(resources.requests).toEqual({ cpu: "200m", memory });
  });

  it.each([
    ["30Gi", 2_147_483_648],
    ["8Gi", 858_993_459],
  ])("keeps a tenth of %s free, at most 2 GiB", (size, bytes) => {
    expect(setting(set(`persistence.size=${size}`), "disk_free_limit.absolute")).toBe(
      String(bytes),
    );
  });

  it.each([
    ["1", "3"],
    ["3", "3"],
    ["5", "5"],
  ])("with %s nodes grows queues to %s members", (count, members) => {
    const key = "quorum_queue.continuous_membership_reconciliation";
    const objects = set(`replicaCount=${count}`);

    expect(setting(objects, `${key}.enabled`)).toBe("true");
    expect(setting(objects, `${key}.target_group_size`)).toBe(members);
  });

  it("forbids a drain only where others are left to serve", () => {
    expect(has(set(""), "PodDisruptionBudget")).toBe(false);
    expect(only(set("replicaCount=3"), "PodDisruptionBudget").spec).toMatchObject({
      maxUnavailable: 1,
    });
  });

  it("checks readiness by TCP and liveness not at all, and waits for a quorum within its grace", () => {
    const pod = podOf(set("replicaCount=3"));
    const [broker] = pod.spec.containers;

    expect(broker.readinessProbe).toMatchObject({ tcpSocket: { port: "amqp" } });
    expect(broker).not.toHaveProperty("livenessProbe");
    expect(broker.startupProbe.failureThreshold * broker.startupProbe.periodSeconds).toBe(1_800);
    expect(Number(envOf(pod, "QUORUM_WAIT_SECONDS"))).toBe(
      pod.spec.terminationGracePeriodSeconds - 120,
    );
    expect(broker.lifecycle.preStop.exec.command[2]).toContain("await_online_quorum_plus_one");
  });

  it.each([
    ["replicaCount=1", 120],
    ["replicaCount=3", 660],
    ["replicaCount=1,terminationGracePeriodSeconds=300", 300],
  ])("is given time to stop by whether others are to be waited for: %s", (values, seconds) => {
    const { terminationGracePeriodSeconds } = podOf(set(values)).spec;

    expect(terminationGracePeriodSeconds).toBe(seconds);
  });

  it("rolls no pod because a secret was made anew", () => {
    const [first, second] = [set(""), set("")].map(
      (objects) => podOf(objects).metadata.annotations,
    );

    expect(first).toEqual(second);
  });

  it("rolls the pods when the configuration changes", () => {
    const checksum = (values: string) =>
      podOf(set(values)).metadata.annotations["checksum/configuration"];

    expect(checksum("extraConfiguration=channel_max = 100")).not.toBe(checksum(""));
  });

  it("names the Job after what it does, as a Job cannot be changed", () => {
    const jobs = ["", "podLabels.team=mail", "image.tag=4.3.6-management"].map(
      (values) => set(values).find(({ kind }) => kind === "Job")?.metadata.name,
    );

    expect(jobs[1]).toBe(jobs[0]);
    expect(jobs[2]).not.toBe(jobs[0]);
  });

  it.each([
    ["the longest name", "x".repeat(52)],
    ["a name cut off at a hyphen", `${"x".repeat(47)}-abc`],
  ])("gives the Job a name that fits into a label, with %s", (_, name) => {
    const job = set(`fullnameOverride=${name}`).find(({ kind }) => kind === "Job");

    expect(job?.metadata.name).toMatch(/^[a-z\d]([a-z\d-]{0,61}[a-z\d])$/);
  });

  it("keeps version and chart out of what a StatefulSet cannot change", () => {
    const { spec } = only(set("podLabels.team=mail"), "StatefulSet");

    expect(Object.keys(spec.volumeClaimTemplates[0].metadata.labels)).toEqual([
      "app.kubernetes.io/name",
      "app.kubernetes.io/instance",
    ]);
  });

  it("holds a password that is safe in a URL, and what clients connect with", () => {
    const { metadata, stringData } = only(set(""), "Secret");
    const { username, password = "", uri } = stringData ?? {};

    expect(password).toMatch(/^[A-Za-z\d]{32}$/);
    expect(uri).toBe(`amqp://${username}:${password}@r-rabbitmq.ns:5672/`);
    expect(stringData?.["erlang-cookie"]).toMatch(/^[A-Za-z\d]{48}$/);
    expect(metadata.annotations).toMatchObject({ "helm.sh/resource-policy": "keep" });
  });

  it("escapes a given password in the URL", () => {
    const { stringData } = only(set("auth.password=p@ss/w:rd %1"), "Secret");

    expect(new URL(stringData?.["uri"] ?? "").password).toBe("p%40ss%2Fw%3Ard%20%251");
  });

  it("makes no Secret where one is named, and mounts that", () => {
    const objects = set("auth.existingSecret=mine");

    expect(has(objects, "Secret")).toBe(false);
    expect(JSON.stringify(podOf(objects))).toContain('"secretName":"mine"');
  });

  it.each(["tls.enabled=true", "global.rabbitmq.tls.enabled=true"])(
    "with %s speaks TLS only, under names that its certificate carries",
    (value) => {
      const objects = set(value);
      const ports = podOf(objects).spec.containers[0].ports;

      expect(setting(objects, "listeners.tcp")).toBe("none");
      expect(ports).toContainEqual({ name: "amqp", containerPort: 5671 });
      expect(only(objects, "Secret").stringData?.["uri"]).toMatch(/^amqps:.*r-rabbitmq\.ns:5671/);
      expect(only(objects, "Secret", "r-rabbitmq-tls").data).toHaveProperty(["ca.crt"]);
    },
  );

  it("opens each port to whom it is for", () => {
    const { spec } = only(set(""), "NetworkPolicy");
    const openTo = (port: string) =>
      spec.ingress
        .filter(({ ports }) => ports.some((each) => each.port === port))
        .flatMap(({ from }) => from.map(({ podSelector }) => podSelector.matchLabels));

    expect(openTo("amqp")[0]).toEqual({
      "app.kubernetes.io/instance": "r",
      "wellsent.io/broker-client": "true",
    });
    expect(openTo("metrics")).toEqual([{ "wellsent.io/scrape": "true" }]);
    expect(openTo("management")).toEqual([]);
    expect(has(set("networkPolicy.enabled=false"), "NetworkPolicy")).toBe(false);
    expect(has(set("global.networkPolicy.enabled=false"), "NetworkPolicy")).toBe(false);
  });

  it("takes registry, pull secrets and StorageClass from the globals", () => {
    const all = JSON.stringify(
      set(
        "global.imageRegistry=mirror.example,global.imagePullSecrets={pull},global.storageClass=fast",
      ),
    );

    expect(all).toContain("mirror.example/rabbitmq:4.3-management");
    expect(all).not.toContain("docker.io/rabbitmq:");
    expect(all).toContain('"imagePullSecrets":[{"name":"pull"}]');
    expect(all).toContain('"storageClassName":"fast"');
  });

  it("pins the image by digest where one is given, and still tells the version", () => {
    const digest = `sha256:${"a".repeat(64)}`;

    expect(podOf(set(`image.digest=${digest}`)).spec.containers[0].image).toBe(
      `docker.io/rabbitmq:4.3-management@${digest}`,
    );
  });

  it("can be renamed, whole or in part", () => {
    expect(() => only(set("fullnameOverride=mq"), "StatefulSet", "mq")).not.toThrow();
    expect(() => only(set("nameOverride=mq"), "Service", "r-mq-nodes")).not.toThrow();
  });

  it("shares no selector between two releases", () => {
    const selector = (release: string) =>
      only(renderChart(CHART, release).objects, "StatefulSet", `${release}-rabbitmq`).spec.selector;

    expect(selector("a")).not.toEqual(selector("b"));
  });
});

describe("the broker's values", () => {
  it.each([
    ["replicaCount=2", /replicaCount/],
    ["replicaCount=4", /replicaCount/],
    ["auth.usernme=x", /usernme/],
    ["auth.username=guest", /username/],
    ["auth.generate=false", /auth\.generate is false/],
    ["auth.password=it's", /password/],
    ["auth.password=a$(b)", /password/],
    ["auth.erlangCookie=short", /erlangCookie/],
    ["resources.limits.memory=null", /memory/],
    ["resources.limits.memory=lots", /memory/],
    ["persistence.size=8", /size/],
    ["fullnameOverride=my.mq", /fullnameOverride/],
    ["extraEnv.RABBITMQ_DEFAULT_PASS_FILE=x", /PASS_FILE/],
    ["extraEnv.RABBITMQ_VM_MEMORY_HIGH_WATERMARK=x", /HIGH_WATERMARK/],
    ["extraEnv.RABBITMQ_NODENAME=x", /RABBITMQ_NODENAME/],
    ["terminationGracePeriodSeconds=60", /terminationGracePeriodSeconds/],
    [`fullnameOverride=${"x".repeat(53)}`, /more than 52 characters/],
  ])("refuse %s and say why", (value, reason) => {
    expect(renderChart(CHART, "r", "--set", value).error).toMatch(reason);
  });
});

describe("the broker's scripts", () => {
  it.each(readdirSync(SCRIPTS))("%s is bash", (script) => {
    const { status, stderr } = spawnSync("bash", ["-n", `${SCRIPTS}/${script}`], {
      encoding: "utf8",
    });

    expect([status, stderr]).toEqual([0, ""]);
  });
});
