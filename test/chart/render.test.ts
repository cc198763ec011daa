import { describe, expect, it } from "@jest/globals";
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { render, type KubeObject } from "../support/helm.ts";

const WORKLOADS = ["Deployment", "StatefulSet", "Job", "Pod"];
const RELAY = [
  "--set",
  "global.relay.urls=smtp://relay.example:587",
  "--set",
  "global.relay.from=a@b.example",
];
const EVERYTHING = [
  ...RELAY,
  "--set",
  "api.autoscaling.enabled=true,api.ingress.enabled=true,api.ingress.host=send.example",
  "--set",
  "api.httpRoute.enabled=true,api.httpRoute.parentRefs[0].name=gateway",
  "--set",
  "emailer.keda.enabled=true,global.monitoring.enabled=true",
  "--set",
  "global.rabbitmq.tls.enabled=true,rabbitmq.replicaCount=3",
];
const BROKER = "amqps://user:pass@broker.example/mail";
const SERVICES = ["api", "emailer", "logger"];
const without = (alone: string) =>
  SERVICES.filter((name) => name !== alone)
    .map((name) => `${name}.enabled=false`)
    .join(",");
const overlays = readdirSync("k8s/values").map((file) => ["-f", `k8s/values/${file}`]);
const configurations: [string, string[]][] = [
  ["nothing set", []],
  ["everything on", EVERYTHING],
  ["a broker by Secret", ["--set", "rabbitmq.enabled=false,global.rabbitmq.existingSecret=broker"]],
  ["a broker by URL", ["--set", `rabbitmq.enabled=false,global.rabbitmq.url=${BROKER}`]],
  ...SERVICES.map((alone): [string, string[]] => [
    `the ${alone} alone`,
    ["--set", without(alone), "--set", `rabbitmq.enabled=false,global.rabbitmq.url=${BROKER}`],
  ]),
  ...overlays.map((args): [string, string[]] => [args.join(" "), args]),
  ["ha and production", ["ha", "production"].flatMap((name) => ["-f", `k8s/values/${name}.yaml`])],
];

interface PodSpec {
  automountServiceAccountToken?: boolean;
  securityContext?: Record<string, unknown>;
  containers: Container[];
  initContainers?: Container[];
}
interface Container {
  name: string;
  image: string;
  env?: { name: string; value?: string }[];
  lifecycle?: { preStop: { sleep: { seconds: number } } };
  securityContext?: Record<string, unknown>;
  resources?: { requests?: object; limits?: { memory?: string } };
}

function podsOf(objects: readonly KubeObject[]): {
  owner: string;
  spec: PodSpec;
  labels: Record<string, string>;
  annotations?: object | undefined;
}[] {
  return objects
    .filter(({ kind }) => WORKLOADS.includes(kind))
    .map((object) => {
      const template = object.spec?.["template"] as
        | { spec: PodSpec; metadata: { labels: Record<string, string>; annotations?: object } }
        | undefined;
      const spec = template?.spec ?? (object.spec as unknown as PodSpec);
      const labels = template?.metadata.labels ?? object.metadata.labels;
      const annotations = template?.metadata.annotations;
      return { owner: `${object.kind} ${object.metadata.name}`, spec, labels, annotations };
    });
}

const named = (objects: readonly KubeObject[], kind: string, name: string) =>
  objects.find((object) => object.kind === kind && object.metadata.name === name);
const containersOf = ({ containers, initContainers = [] }: PodSpec) => [
  ...initContainers,
  ...containers,
];

describe.each(configurations)("the chart with %s", (_, args) => {
  const { objects, error } = render("rel", ...args);

  it("renders", () => {
    expect(error).toBe("");
    expect(objects.length).toBeGreaterThan(4);
  });

  it("puts every object into the release's namespace, however it is applied", () => {
    const elsewhere = objects.filter(({ metadata }) => metadata.namespace !== "ns");

    expect(elsewhere.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([]);
  });

  it("keeps every pod within the restricted Pod Security Standard, with a read-only root and no token", () => {
    for (const { owner, spec } of podsOf(objects)) {
      expect([owner, spec.automountServiceAccountToken]).toEqual([owner, false]);
      expect([owner, spec.securityContext]).toMatchObject([
        owner,
        { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      ]);
      expect([owner, /"host(Network|PID|IPC|Path|Port)"/.exec(JSON.stringify(spec))]).toEqual([
        owner,
        null,
      ]);
      for (const { name, securityContext } of containersOf(spec)) {
        expect([owner, name, securityContext]).toMatchObject([
          owner,
          name,
          {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ["ALL"] },
            readOnlyRootFilesystem:
              !args.join().includes("dev.yaml") || /rabbitmq|inbox|smoke/.test(owner),
          },
        ]);
      }
    }
  });

  it("bounds every container's memory and asks for some", () => {
    for (const { owner, spec } of podsOf(objects)) {
      for (const { name, resources } of containersOf(spec)) {
        expect([owner, name, resources]).toMatchObject([
          owner,
          name,
          {
            requests: { cpu: expect.anything() },
            limits: { memory: expect.anything() },
          },
        ]);
      }
    }
  });

  it("puts no secret into the environment", () => {
    for (const { owner, spec } of podsOf(objects)) {
      for (const { env = [] } of containersOf(spec)) {
        for (const { name, value = "" } of env) {
          expect([
            owner,
            name,
            /password|token|key|_urls?$/i.test(name) && !name.endsWith("_FILE") && value !== "",
          ]).toEqual([owner, name, false]);
        }
      }
    }
  });

  it("selects by nothing that changes with a version", () => {
    for (const { kind, metadata, spec } of objects) {
      const { matchLabels = {} } = (spec?.["selector"] ?? {}) as {
        matchLabels?: Record<string, string>;
      };
      expect([
        kind,
        metadata.name,
        Object.keys(matchLabels).filter((key) => /version|chart/.test(key)),
      ]).toEqual([kind, metadata.name, []]);
    }
  });

  it("covers every pod with a NetworkPolicy", () => {
    const policies = objects
      .filter(({ kind }) => kind === "NetworkPolicy")
      .map(
        ({ spec }) =>
          (spec?.["podSelector"] as { matchLabels: Record<string, string> }).matchLabels,
      );
    for (const { owner, labels } of podsOf(objects)) {
      expect([
        owner,
        policies.some((wanted) =>
          Object.entries(wanted).every(([key, value]) => labels[key] === value),
        ),
      ]).toEqual([owner, true]);
    }
  });

  it("has names of the release only, so that two releases in a namespace do not meet", () => {
    const ids = (rendering: readonly KubeObject[]) =>
      rendering.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const others = new Set(ids(render("rel-2", ...args).objects));

    expect(ids(objects).filter((id) => others.has(id))).toEqual([]);
    expect(new Set(ids(objects)).size).toBe(objects.length);
  });
});

describe("values", () => {
  it.each([
    ["emailer.replicas=2", /replicas/],
    ["api.image.tagg=1", /tagg/],
    ["global.relay.url=smtp://a", /url/],
    ["global.relay.urls=http://relay.example", /urls/],
    ["logger.kind=DaemonSet", /kind/],
    ["rabbitmq.replicaCount=2", /replicaCount/],
    ["api.env.lower=1", /lower/],
    ["nonsense=1", /nonsense/],
    ["global.relay.urls=smtp://relay.example", /global\.relay\.from is required/],
    ["rabbitmq.enabled=false", /global\.rabbitmq\.existingSecret/],
    ["api.ingress.enabled=true", /ingress\.host is required/],
    [`global.rabbitmq.url=${BROKER}`, /rabbitmq\.enabled=false/],
    ["global.rabbitmq.url=broker.example", /url/],
    ["rabbitmq.fullnameOverride=mq", /look for their broker as rel-rabbitmq/],
    ["rabbitmq.nameOverride=mq", /look for their broker as rel-rabbitmq/],
    ["rabbitmq.auth.existingSecret=mine", /global\.rabbitmq\.existingSecret/],
    ["global.rabbitmq.existingSecret=theirs", /rabbitmq\.enabled=false/],
    ["rabbitmq.tls.enabled=true", /global\.rabbitmq\.tls\.enabled/],
    [
      "global.rabbitmq.tls.enabled=true,rabbitmq.tls.existingSecret=cert",
      /global\.rabbitmq\.tls\.caSecret=cert/,
    ],
    [
      "global.rabbitmq.tls.enabled=true,rabbitmq.auth.existingSecret=a,global.rabbitmq.existingSecret=a",
      /global\.rabbitmq\.tls\.caSecret=rel-rabbitmq-tls/,
    ],
    [
      `rabbitmq.enabled=false,global.rabbitmq.tls.enabled=true,global.rabbitmq.url=amqp://a`,
      /amqps:/,
    ],
    ["logger.replicaCount=2", /one logger/],
    ["logger.persistence.enabled=false", /one logger/],
    ["logger.kind=Deployment", /logger\.persistence\.enabled needs logger\.kind=StatefulSet/],
    ["api.keda.enabled=true", /api\.autoscaling/],
    ["emailer.keda.minReplicas=0", /keda\/minReplicas/],
    ["api.autoscaling.enabled=true,api.autoscaling.minReplicas=7", /minReplicas is more than/],
    ["emailer.ingress.enabled=true,emailer.ingress.host=a.example", /need a port `http`/],
    ["api.env.SHUTDOWN_DEADLINE_MS=1", /api\.env\.SHUTDOWN_DEADLINE_MS: the chart sets it/],
    ["global.relay.connections=1001", /connections/],
    ["api.maxUnavailable=some", /maxUnavailable/],
    ["inbox.image.pullPolicy=Always", /pullPolicy/],
    [
      "global.relay.urls=smtp://a,global.relay.existingSecret=b,global.relay.from=a@b.example",
      /global\.relay\.urls goes without/,
    ],
  ])("refuse %s and say why", (value, reason) => {
    expect(render("rel", "--set", value).error).toMatch(reason);
  });

  it("refuse a HPA and KEDA at once", () => {
    const both = "emailer.keda.enabled=true,emailer.autoscaling.enabled=true";

    expect(render("rel", "--set", both).error).not.toBe("");
  });

  it.each([
    ["emailer.replicaCount=3", "3"],
    ["emailer.replicaCount=0", "1"],
    ["emailer.keda.enabled=true,emailer.keda.maxReplicas=40", "40"],
    ["emailer.autoscaling.enabled=true,emailer.autoscaling.maxReplicas=5", "5"],
  ])("share a relay's limits out over the most emailers there can be: %s", (values, most) => {
    const pods = podsOf(render("rel", "--set", values).objects);
    const emailer = pods.find(({ owner }) => owner === "Deployment rel-emailer");

    expect(emailer?.spec.containers[0]?.env).toContainEqual({
      name: "SMTP_SHARED_BY",
      value: most,
    });
  });

  it.each([
    [["emailer.image.tag=9.9.9,emailer.env.PREFETCH=7"], ["emailer"]],
    [["global.relay.urls=smtp://other.example:587"], ["emailer"]],
    [["api.env.PUBLISH_WINDOW=7"], ["api"]],
    [["logger.resources.limits.memory=512Mi"], ["logger"]],
    [["global.articleExchange=logs"], ["api", "emailer", "logger"]],
  ])("%s rolls the pods of %s only", ([values = ""], services) => {
    const running = (...args: string[]) =>
      podsOf(render("rel", ...RELAY, ...args).objects).filter(
        ({ owner }) => !owner.startsWith("Pod "),
      );
    const before = running();

    const changed = running("--set", values).filter(
      (pod, index) => JSON.stringify(pod) !== JSON.stringify(before[index]),
    );

    expect(changed.map(({ owner }) => owner.replace(/.* rel-/, ""))).toEqual(services);
  });

  it("name the Secret that a broker's URL goes to", () => {
    const { objects } = render(
      "rel",
      "--set",
      `rabbitmq.enabled=false,global.rabbitmq.url=${BROKER}`,
    );

    expect(named(objects, "Secret", "rel-broker")?.stringData).toEqual({ uri: BROKER });
    expect(JSON.stringify(named(objects, "Deployment", "rel-api")?.spec)).toContain(
      '{"secret":{"name":"rel-broker"',
    );
  });

  it.each([
    ["url=amqp://user:5673@broker.example", 5672],
    ["url=amqps://user:5673@broker.example/mail", 5671],
    ["url=amqps://user:pass@broker.example:5673", 5673],
    ["url=amqps://user:pass@broker.example:5673,global.rabbitmq.port=5674", 5674],
    ["existingSecret=broker", 5672],
    ["existingSecret=broker,global.rabbitmq.tls.enabled=true", 5671],
  ])("open the way to an external broker: %s", (broker, port) => {
    const { objects } = render("rel", "--set", `rabbitmq.enabled=false,global.rabbitmq.${broker}`);

    expect(named(objects, "NetworkPolicy", "rel-api")?.spec?.["egress"]).toContainEqual({
      ports: [{ port }],
    });
  });

  it("trust an external broker's authority, where its URL asks for TLS", () => {
    const { objects } = render(
      "rel",
      "--set",
      `rabbitmq.enabled=false,global.rabbitmq.url=${BROKER},global.rabbitmq.tls.caSecret=ca`,
    );
    const [api] = podsOf(objects).filter(({ owner }) => owner === "Deployment rel-api");

    expect(api?.spec.containers[0]?.env).toContainEqual({
      name: "NODE_EXTRA_CA_CERTS",
      value: "/run/secrets/wellsent/ca.crt",
    });
  });

  it("bring the alerts and dashboards that Docker Compose has", () => {
    const { objects } = render("rel", ...EVERYTHING);
    const file = (name: string) => readFileSync(`charts/wellsent/monitoring/${name}`, "utf8");
    const dashboards = named(objects, "ConfigMap", "rel-dashboards") as { data?: object };

    expect(named(objects, "PrometheusRule", "rel")?.spec).toEqual(parse(file("alerts.yaml")));
    expect(dashboards.data).toEqual({
      "mail-flow.json": file("mail-flow.json"),
      "service.json": file("service.json"),
    });
  });

  it("leave replicas to what scales", () => {
    const { objects } = render("rel", ...EVERYTHING);

    expect(named(objects, "Deployment", "rel-api")?.spec).not.toHaveProperty("replicas");
    expect(named(objects, "Deployment", "rel-emailer")?.spec).not.toHaveProperty("replicas");
    expect(named(objects, "HorizontalPodAutoscaler", "rel-api")).toBeDefined();
    expect(named(objects, "ScaledObject", "rel-emailer")).toBeDefined();
  });

  it("without a relay bring an inbox, with one none", () => {
    expect(named(render("rel").objects, "Deployment", "rel-inbox")).toBeDefined();
    expect(named(render("rel", ...RELAY).objects, "Deployment", "rel-inbox")).toBeUndefined();
  });

  it("give a pod longer to stop than its service takes", () => {
    for (const { owner, spec } of podsOf(render("rel").objects).filter(({ owner }) =>
      /-(api|emailer|logger)$/.test(owner),
    )) {
      const { terminationGracePeriodSeconds: grace } = spec as PodSpec & {
        terminationGracePeriodSeconds: number;
      };
      const [{ env = [], lifecycle } = {} as Container] = spec.containers;
      const deadline = env.find(({ name }) => name === "SHUTDOWN_DEADLINE_MS")?.value;
      const leaving = lifecycle?.preStop.sleep.seconds ?? 0;
      expect([owner, (grace - leaving) * 1_000 > Number(deadline)]).toEqual([owner, true]);
    }
  });
});

describe("k8s/kustomization.yaml", () => {
  it("inflates to the same each time, without the test's pod", () => {
    interface Inflated {
      name: string;
      skipTests: boolean;
      valuesFile: string;
      valuesInline: object;
    }
    const { helmCharts } = parse(readFileSync("k8s/kustomization.yaml", "utf8")) as {
      helmCharts: [Inflated];
    };
    const [{ name, skipTests, valuesFile, valuesInline }] = helmCharts;
    const inline = Object.entries(valuesInline).flatMap(([key, value]) => [
      "--set-json",
      `${key}=${JSON.stringify(value)}`,
    ]);
    const inflate = () => render("rel", "-f", `k8s/${valuesFile}`, ...inline);

    expect([name, skipTests]).toEqual(["wellsent", true]);
    expect(inflate().error).toBe("");
    expect(inflate()).toEqual(inflate());
  });

  it.each([
    ["apiKeys", /set global\.apiKeys\.existingSecret/],
    ["internal", /set global\.internal\.existingSecret/],
  ])("does not inflate where the Secret of %s is forgotten", (forgotten, reason) => {
    const secrets = { rabbitmq: "broker", apiKeys: "keys", internal: "token" };
    const named = Object.entries(secrets).filter(([name]) => name !== forgotten);
    const values = named.map(([name, secret]) => `global.${name}.existingSecret=${secret}`);
    const broker = "rabbitmq.auth.existingSecret=broker,global.generateSecrets=false";

    expect(render("rel", "--set", [broker, ...values].join(",")).error).toMatch(reason);
  });
});
