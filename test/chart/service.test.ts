import { describe, expect, it } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { helm, render, renderChart, type KubeObject } from "../support/helm.ts";

interface Egress {
  ports: { port: number | string }[];
  to?: object[];
}

interface Pod {
  metadata: { annotations?: Record<string, string> };
  spec: {
    containers: [{ env: { name: string; value: string }[]; volumeMounts: object[] }];
    volumes: object[];
  };
}

const RELAY = "global.relay.from=a@b.example,global.relay.urls=smtp://user:25@relay.example";

const specOf = (objects: readonly KubeObject[], kind: string, name: string) =>
  objects.find((each) => each.kind === kind && each.metadata.name === name)?.spec;

const podOf = (objects: readonly KubeObject[], service: string) =>
  specOf(objects, "Deployment", `rel-${service}`)?.["template"] as Pod;

/** Ports that a service's pods may open wherever they are. */
function openPorts(service: string, ...args: string[]): (number | string)[] {
  const { objects, error } = render("rel", ...args);
  expect(error).toBe("");
  const spec = specOf(objects, "NetworkPolicy", `rel-${service}`);
  const { egress } = spec as unknown as { egress: Egress[] };
  return egress.filter(({ to }) => !to).flatMap(({ ports }) => ports.map(({ port }) => port));
}

describe("an external broker's URL", () => {
  it.each([
    ["amqp://user:1@broker.example/mail", 5672],
    ["amqps://user:1@broker.example/mail", 5671],
    ["amqps://user:1@broker.example:5700", 5700],
    ["amqp://[2001:db8::1]:5673/mail", 5673],
  ])("opens the way there: %s", (url, port) => {
    const values = `rabbitmq.enabled=false,global.rabbitmq.url=${url}`;

    expect(openPorts("api", "--set", values)).toEqual([port]);
  });

  it("tells KEDA of TLS", () => {
    const broker = "rabbitmq.enabled=false,global.rabbitmq.url=amqps://broker.example";
    const { objects } = render("rel", "--set", `${broker},emailer.keda.enabled=true`);
    const keda = specOf(objects, "TriggerAuthentication", "rel-emailer");

    expect(keda).toMatchObject({ secretTargetRef: [{ parameter: "host" }, { parameter: "tls" }] });
  });
});

describe("a broker's Secret", () => {
  const operator = "rabbitmq.enabled=false,global.rabbitmq.existingSecret=mq-default-user";
  const key = "global.rabbitmq.existingSecretKey=connection_string";
  const wanted =
    '{"name":"mq-default-user","items":[{"key":"connection_string","path":"AMQP_URL"}]}';

  it("is read by the key that is named, by the services and by KEDA", () => {
    const values = `${operator},${key},emailer.keda.enabled=true`;
    const { objects } = render("rel", "--set", values);
    const logger = specOf(objects, "StatefulSet", "rel-logger")?.["template"] as Pod;
    const keda = specOf(objects, "TriggerAuthentication", "rel-emailer");

    for (const pod of [podOf(objects, "api"), podOf(objects, "emailer"), logger]) {
      expect(JSON.stringify(pod.spec.volumes)).toContain(wanted);
    }
    expect(keda).toMatchObject({
      secretTargetRef: [{ parameter: "host", name: "mq-default-user", key: "connection_string" }],
    });
  });

  it("that the chart makes has the key `uri`", () => {
    const { objects } = render("rel", "--set", key);

    expect(JSON.stringify(podOf(objects, "api").spec.volumes)).toContain(
      '{"name":"rel-rabbitmq","items":[{"key":"uri","path":"AMQP_URL"}]}',
    );
  });
});

describe("a checksum in a pod's annotations", () => {
  const annotationsOf = (values: string) => {
    const { objects } = render("rel", "--set", `global.relay.from=a@b.example,${values}`);
    const { metadata } = podOf(objects, "emailer");
    return { ...metadata.annotations };
  };
  const relays = (...urls: string[]) => annotationsOf(`global.relay.urls=${urls.join("\\,")}`);
  const broker = (url: string) =>
    annotationsOf(`global.relay.urls=smtp://a,rabbitmq.enabled=false,global.rabbitmq.url=${url}`);

  it("does not depend on a password, so that none can be guessed by it", () => {
    const one = relays("smtp://me:first@a.example:587?rate=5", "smtps://you:first@b.example");
    const other = relays("smtp://me:x%2Cy@a.example:587?rate=5", "smtps://you:z@b.example");

    expect(other).toEqual(one);
    expect(broker("amqp://me:first@a.example/x")).toEqual(broker("amqp://me:other@a.example/x"));
  });

  it.each([
    ["smtp://me:first@c.example:587?rate=5"],
    ["smtp://me:first@a.example:25?rate=5"],
    ["smtp://me:first@a.example:587?rate=6"],
    ["smtp://you:first@a.example:587?rate=5"],
    ["smtp://a.example:587?rate=5"],
  ])("changes with everything else: %s", (url) => {
    expect(relays(url)).not.toEqual(relays("smtp://me:first@a.example:587?rate=5"));
  });

  it("changes with the broker's address", () => {
    expect(broker("amqp://me:first@a.example/x")).not.toEqual(
      broker("amqp://me:first@b.example/x"),
    );
  });
});

describe("pods and nodes", () => {
  interface Placed {
    topologySpreadConstraints: { matchLabelKeys?: string[] }[];
    tolerations?: { key: string; tolerationSeconds?: number }[];
  }
  const placed = (pod: Pod) => pod.spec as unknown as Placed;

  it("a Deployment spreads the pods of one revision among themselves", () => {
    const { objects } = render("rel");
    const logger = specOf(objects, "StatefulSet", "rel-logger")?.["template"] as Pod;
    const keys = (pod: Pod) =>
      placed(pod).topologySpreadConstraints.map(({ matchLabelKeys }) => matchLabelKeys);

    expect(keys(podOf(objects, "api"))).toEqual([["pod-template-hash"], ["pod-template-hash"]]);
    expect(keys(podOf(objects, "emailer"))).toEqual([["pod-template-hash"], ["pod-template-hash"]]);
    // Its volume decides where the logger runs.
    expect(keys(logger)).toEqual([undefined, undefined]);
  });

  it("a Deployment's pods leave a lost node soon, beside what they tolerate else", () => {
    const own = "api.tolerations[0].key=mail,api.nodeLossSeconds=60";
    const { objects } = render("rel", "--set", own);
    const logger = specOf(objects, "StatefulSet", "rel-logger")?.["template"] as Pod;

    expect(placed(podOf(objects, "api")).tolerations).toMatchObject([
      { key: "mail" },
      { key: "node.kubernetes.io/not-ready", tolerationSeconds: 60 },
      { key: "node.kubernetes.io/unreachable", tolerationSeconds: 60 },
    ]);
    expect(
      placed(podOf(objects, "emailer")).tolerations?.map((each) => each.tolerationSeconds),
    ).toEqual([30, 30]);
    expect(placed(logger).tolerations).toBeUndefined();
  });

  it("brokers of ha.yaml never share a node", () => {
    const { objects } = render("rel", "-f", "k8s/values/ha.yaml");
    const { spec } = specOf(objects, "StatefulSet", "rel-rabbitmq")?.["template"] as {
      spec: { affinity: object };
    };

    expect(spec.affinity).toMatchObject({
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "kubernetes.io/hostname" }],
      },
    });
  });
});

describe("a relay", () => {
  it("opens the listed ports, and those that its URL names", () => {
    const relays = `${RELAY}:2500?rate=5\\,smtps://[::1]:4465,global.relay.ports={587}`;

    expect(openPorts("emailer", "--set", relays)).toEqual([587, 2500, 4465]);
  });

  it("opens none outside where an inbox takes its place", () => {
    expect(openPorts("emailer")).toEqual([]);
  });

  it("meets no emailer more than its limits are shared by, while they roll", () => {
    const { objects } = render("rel");
    const surge = (name: string) => specOf(objects, "Deployment", name)?.["strategy"];

    expect(surge("rel-emailer")).toMatchObject({ rollingUpdate: { maxSurge: 0 } });
    expect(surge("rel-api")).toMatchObject({ rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } });
  });
});

describe("a service", () => {
  it("lets `helm test` in where others are kept out", () => {
    const { objects } = render("rel", "--set", "api.httpFrom[0].podSelector.matchLabels.app=shop");
    const labels = { "app.kubernetes.io/name": "smoke", "app.kubernetes.io/instance": "rel" };

    expect(specOf(objects, "NetworkPolicy", "rel-smoke-ingress")).toMatchObject({
      ingress: [{ ports: [{ port: "http" }], from: [{ podSelector: { matchLabels: labels } }] }],
    });
    expect(objects.find(({ kind }) => kind === "Pod")?.metadata.labels).toMatchObject(labels);
  });

  it("is told of its ports, and of large numbers in digits", () => {
    const env = 'api.env={"EMAILER_QUEUE_MAX":1000000}';
    const { objects } = render("rel", "--set-json", env, "--set", "api.ports.http=8443");
    const [container] = podOf(objects, "api").spec.containers;

    expect(container.env).toContainEqual({ name: "EMAILER_QUEUE_MAX", value: "1000000" });
    expect(container.env).toContainEqual({ name: "HTTP_PORT", value: "8443" });
    expect(JSON.stringify(objects)).toContain("http://rel-api:8443");
  });

  it("takes further volumes", () => {
    const volumes =
      'emailer={"extraVolumes":[{"name":"ca"}],"extraVolumeMounts":[{"name":"ca","mountPath":"/ca"}]}';
    const { spec } = podOf(render("rel", "--set-json", volumes).objects, "emailer");

    expect(spec.volumes).toContainEqual({ name: "ca" });
    expect(spec.containers[0].volumeMounts).toContainEqual({ name: "ca", mountPath: "/ca" });
  });

  it("takes a broker's user of its own", () => {
    const own = "api.secretFiles.AMQP_URL.secret=own,api.secretFiles.AMQP_URL.key=url";
    const { objects } = render("rel", "--set", own);
    const secrets = (service: string) => JSON.stringify(podOf(objects, service).spec.volumes);

    expect(secrets("api")).toContain('{"name":"own","items":[{"key":"url","path":"AMQP_URL"}]}');
    expect(secrets("emailer")).not.toContain('"own"');
  });

  it("shows its metrics to nobody outside of the cluster", () => {
    const values = "api.service.type=LoadBalancer,global.monitoring.enabled=true";
    const { objects } = render("rel", "--set", values);
    const { ports } = specOf(objects, "Service", "rel-api") as { ports?: object[] };

    expect(ports).toEqual([{ name: "http", port: 8080, targetPort: "http" }]);
    expect(specOf(objects, "PodMonitor", "rel-api")).toBeDefined();
  });

  it("finds the audit log where its volume is", () => {
    const { objects } = render("rel", "--set", "logger.persistence.path=/data");

    expect(JSON.stringify(specOf(objects, "StatefulSet", "rel-logger"))).toContain(
      '{"name":"AUDIT_DIR","value":"/data/audit"}',
    );
  });

  it("is tested where the logger may run", () => {
    const node = "logger.nodeSelector.pool=mail,logger.tolerations[0].operator=Exists";
    const smoke = render("rel", "--set", node).objects.find(({ kind }) => kind === "Pod");

    expect(smoke?.spec).toMatchObject({
      nodeSelector: { pool: "mail" },
      tolerations: [{ operator: "Exists" }],
    });
  });

  it("takes a wildcard for the host of its Ingress", () => {
    const ingress = "api.ingress.enabled=true,api.ingress.host=*.b.example";
    const { objects } = render("rel", "--set", ingress);

    expect(specOf(objects, "Ingress", "rel-api")).toMatchObject({
      rules: [{ host: "*.b.example" }],
    });
  });

  it("has a version label that is one, whatever the tag", () => {
    const tag = `api.image.tag=_${"a".repeat(62)}.-b`;
    const { objects } = render("rel", "--set", tag);
    const { labels } = objects.find(({ metadata }) => metadata.name === "rel-api")?.metadata ?? {};

    expect(labels?.["app.kubernetes.io/version"]).toBe("a".repeat(62));
  });

  it("asks for an image where it is installed alone", () => {
    const { error } = renderChart("charts/wellsent/charts/service", "rel");

    expect(error).toContain("service.image.repository is required");
  });
});

describe("the charts", () => {
  it("give no object a name that it could have in another release, such as rel-api", () => {
    const values = "emailer.keda.enabled=true,global.rabbitmq.tls.enabled=true";
    const ids = render("rel", "--set", values).objects.map(({ kind, metadata }) => {
      return { kind, end: metadata.name.replace(/^rel/, "") };
    });
    const met = ids.filter(({ kind, end }) =>
      ids.some((other) => other.kind === kind && other.end !== end && end.endsWith(other.end)),
    );

    expect(met).toEqual([]);
  });

  it.each(["", "/charts/service", "/charts/rabbitmq"])("pass helm lint --strict: %s", (chart) => {
    const { status, stdout } = spawnSync(helm(), ["lint", "--strict", `charts/wellsent${chart}`]);

    expect([status, stdout.toString()]).toEqual([0, expect.stringContaining("0 chart(s) failed")]);
  });
});

describe("the notes", () => {
  /** n.b. only an installation shows them, so they come as an object here. */
  const notes = (...args: string[]) => {
    const text = `{{ define "notes" }}${readFileSync("charts/wellsent/templates/NOTES.txt", "utf8")}{{ end }}`;
    const object = `{kind: Notes, metadata: {name: notes}, spec: {text: {{ include "notes" . | toJson }}}}`;
    const extra = `extraObjects=${JSON.stringify([text + object])}`;
    const { objects } = render("rel", "--set-json", extra, ...args);
    return specOf(objects, "Notes", "notes")?.["text"] as string;
  };

  it("say how to send and to test, and where mail goes", () => {
    expect(notes()).toMatch(/get secret rel-api-keys[^]*NO RELAY IS SET[^]*test rel$/m);
  });

  it("name the hosts and Secrets that were given", () => {
    const values =
      "api.ingress.enabled=true,api.ingress.host=b.example,global.monitoring.enabled=true";
    const keys = "global.apiKeys.existingSecret=mine";
    const text = notes("--set", RELAY, "--set", values, "--set", keys);

    expect(text).toMatch(/the Secret mine[^]*the API is at b\.example\.[^]*wellsent\.io\/scrape/);
    expect(text).not.toMatch(/NO RELAY|user:25/);
  });

  it("promise no test where there is nothing to test", () => {
    expect(notes("--set", "api.enabled=false")).toMatch(
      /Watch what happens[^]*logger-0[^]*The record itself[^]*an email"\.\s*$/,
    );
  });
});
