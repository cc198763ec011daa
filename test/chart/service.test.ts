import { describe, expect, it } from "@jest/globals";
import { render, type KubeObject } from "../support/helm.ts";

interface Egress {
  ports: { port: number | string }[];
  to?: object[];
}

interface Pod {
  spec: {
    containers: [{ env: { name: string; value: string }[]; volumeMounts: object[] }];
    volumes: object[];
  };
}

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

describe("a service", () => {
  it("takes further volumes", () => {
    const volumes =
      'emailer={"extraVolumes":[{"name":"ca"}],"extraVolumeMounts":[{"name":"ca","mountPath":"/ca"}]}';
    const { spec } = podOf(render("rel", "--set-json", volumes).objects, "emailer");

    expect(spec.volumes).toContainEqual({ name: "ca" });
    expect(spec.containers[0].volumeMounts).toContainEqual({ name: "ca", mountPath: "/ca" });
  });
});
