import { afterEach, describe, expect, it } from "@jest/globals";
import { renderLive, type KubeObject } from "../support/helm.ts";
import { startKubeApi } from "../support/kube-api.ts";

const CHARTS = "charts/wellsent/charts";
const VOLUME = "persistentvolumeclaims/data-r-rabbitmq-0";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

/** Renders as an upgrade where these objects are there. */
async function upgradeOf(chart: string, live: Record<string, object>, ...args: string[]) {
  const api = await startKubeApi(live);
  stops.push(api.stop);
  return renderLive(api.url, `${CHARTS}/${chart}`, ...args);
}

const upgrade = (live: Record<string, object>, ...args: string[]) =>
  upgradeOf("rabbitmq", live, ...args);

const object = (kind: string, rest: object) => ({
  apiVersion: kind === "StatefulSet" ? "apps/v1" : "v1",
  kind,
  metadata: { name: "any", namespace: "ns" },
  ...rest,
});
const encoded = (texts: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, btoa(text)]));
const secret = (texts: Record<string, string>) => object("Secret", { data: encoded(texts) });
const brokers = (replicas: number, image = "docker.io/rabbitmq:4.3-management") =>
  object("StatefulSet", { spec: { replicas, template: { spec: { containers: [{ image }] } } } });
const secretIn = (objects: readonly KubeObject[]) =>
  objects.find(({ kind }) => kind === "Secret") as KubeObject & { data?: Record<string, string> };

describe("the broker's chart over a release that is there", () => {
  const known = { username: "wellsent", password: "first", "erlang-cookie": "c".repeat(48) };

  it("keeps password and cookie", async () => {
    const live = {
      "secrets/r-rabbitmq": secret(known),
      [VOLUME]: object("PersistentVolumeClaim", {}),
    };

    const { objects, error } = await upgrade(live);

    expect(error).toBe("");
    expect(secretIn(objects).stringData).toMatchObject({
      ...known,
      uri: "amqp://wellsent:first@r-rabbitmq.ns:5672/",
    });
  });

  it("takes a given password instead of the live one", async () => {
    const { objects } = await upgrade(
      { "secrets/r-rabbitmq": secret(known) },
      "--set",
      "auth.password=next",
    );

    expect(secretIn(objects).stringData).toMatchObject({
      password: "next",
      "erlang-cookie": known["erlang-cookie"],
    });
  });

  it("keeps certificate and authority", async () => {
    const files = { "ca.crt": "authority", "tls.crt": "certificate", "tls.key": "key" };
    const live = { "secrets/r-rabbitmq-tls": secret(files) };

    const { objects } = await upgrade(live, "--set", "tls.enabled=true,auth.existingSecret=mine");

    expect(secretIn(objects).data).toEqual(encoded(files));
  });

  it("keeps no password for another user", async () => {
    const live = { "secrets/r-rabbitmq": secret({ ...known, username: "mailer" }) };

    expect((await upgrade(live)).error).toMatch(/set auth\.username=mailer/);
    expect((await upgrade(live, "--set", "auth.username=mailer")).error).toBe("");
    expect((await upgrade(live, "--set", "auth.password=known")).error).toBe("");
  });

  it("takes another cookie only while no node runs", async () => {
    const kept = { "secrets/r-rabbitmq": secret(known) };
    const running = { ...kept, "statefulsets/r-rabbitmq": brokers(1) };
    const another = ["--set", `auth.erlangCookie=${"d".repeat(48)}`];
    const same = ["--set", `auth.erlangCookie=${known["erlang-cookie"]}`];

    expect((await upgrade(running, ...another)).error).toMatch(/another auth\.erlangCookie/);
    expect((await upgrade(running, ...same)).error).toBe("");
    expect((await upgrade(kept, ...another)).error).toBe("");
  });

  it("makes no password where volumes know another", async () => {
    const live = { [VOLUME]: object("PersistentVolumeClaim", {}) };

    expect((await upgrade(live)).error).toMatch(/data-r-rabbitmq-0 is there/);
    expect((await upgrade(live, "--set", "auth.password=known")).error).toBe("");
    expect((await upgrade(live, "--set", "auth.existingSecret=mine")).error).toBe("");
  });

  it.each([
    { ownerReferences: [{ kind: "StatefulSet", name: "r-rabbitmq" }] },
    { deletionTimestamp: "2026-11-28T00:00:00Z" },
  ])("does not wait for volumes that are going: %p", async (metadata) => {
    const live = { [VOLUME]: object("PersistentVolumeClaim", { metadata }) };

    expect((await upgrade(live)).error).toBe("");
  });

  it("refuses to scale in, and says how", async () => {
    const live = { "statefulsets/r-rabbitmq": brokers(3) };

    expect((await upgrade(live)).error).toMatch(
      /forget_cluster_node NODE` for NODE rabbit@r-rabbitmq-2\S+, rabbit@r-rabbitmq-1\.r-rabbitmq-nodes\.ns;/,
    );
    expect((await upgrade(live, "--set", "clustering.allowScaleIn=true")).error).toBe("");
    expect((await upgrade(live, "--set", "replicaCount=5")).error).toBe("");
  });

  it.each([
    ["4.3.2-management", "4.4-management", ""],
    ["4.3.2-management", "4.3.6-management", ""],
    ["4.9-management", "4.10-management", ""],
    [`4.2-management@sha256:${"a".repeat(64)}`, "4.4-management", "4.2 runs and the image is 4.4"],
    ["4.2.1-management", "4.4-management", "4.2 runs and the image is 4.4"],
    ["4.4-management", "4.3-management", "4.4 runs and the image is 4.3"],
    ["4.3-management", "5.0-management", "4.3 runs and the image is 5.0"],
  ])("from %s to %s: %p", async (now, next, reason) => {
    const live = { "statefulsets/r-rabbitmq": brokers(1, `127.0.0.1:5000/rabbitmq:${now}`) };

    const { error } = await upgrade(live, "--set", `image.tag=${next}`);

    expect(error === "").toBe(reason === "");
    expect(error).toContain(reason);
  });
});

describe("a Secret that exists without a key that is read", () => {
  const operators = { username: "u", password: "p", connection_string: "amqp://u:p@mq" };
  const service = (values: string, live: Record<string, object>) =>
    upgradeOf("service", live, "--set", `kind=StatefulSet,image.repository=a,${values}`);
  const broker = "global.rabbitmq.existingSecret=mq";

  it("is an error that names its keys, and the value to set for a broker's", async () => {
    const live = { "secrets/mq": secret(operators) };
    const { error } = await service(broker, live);

    expect(error).toMatch(/the Secret mq has no key `uri`; its keys are: connection_string, /);
    expect(error).toMatch(/Set global\.rabbitmq\.existingSecretKey/);
    const key = "global.rabbitmq.existingSecretKey=connection_string";
    expect((await service(`${broker},${key}`, live)).error).toBe("");
  });

  it.each([
    ["secretFiles.SMTP_URLS.secret=smtp,secretFiles.SMTP_URLS.key=urls", "smtp", "urls"],
    ["global.rabbitmq.tls.enabled=true,global.rabbitmq.tls.caSecret=ca", "ca", "ca.crt"],
  ])("is an error for every file: %s", async (values, name, key) => {
    const { error } = await service(values, { [`secrets/${name}`]: secret({ other: "x" }) });

    expect(error).toContain(`the Secret ${name} has no key \`${key}\`; its keys are: other.`);
  });

  it("is none where the Secret is yet to come, or the release makes it", async () => {
    const annotations = { "meta.helm.sh/release-name": "r" };
    const own = { ...secret({ other: "x" }), metadata: { name: "mq", annotations } };

    expect((await service(broker, {})).error).toBe("");
    expect((await service(broker, { "secrets/mq": own })).error).toBe("");
  });

  it.each([
    ["auth.existingSecret=mine", "username"],
    ["auth.existingSecret=known,tls.enabled=true,tls.existingSecret=mine", "tls.crt"],
    ["auth.existingSecret=known,definitions.existingSecret=mine", "definitions.json"],
  ])("is an error for the broker: %s", async (values, key) => {
    const known = secret({ username: "u", password: "p", "erlang-cookie": "c" });
    const live = { "secrets/mine": secret({ other: "x" }), "secrets/known": known };

    const { error } = await upgrade(live, "--set", values);

    expect(error).toContain(`the Secret mine has no key \`${key}\`; its keys are: other`);
  });
});

describe("a StatefulSet's volumes", () => {
  const madeWith = (storage: string) => {
    const volumeClaimTemplates = [{ spec: { resources: { requests: { storage } } } }];
    const containers = [{ image: "rabbitmq:4.3-management" }];
    return object("StatefulSet", {
      spec: { replicas: 1, template: { spec: { containers } }, volumeClaimTemplates },
    });
  };
  const logger = "kind=StatefulSet,image.repository=a,persistence.enabled=true";

  it.each([
    ["service", "10Gi", "50Gi", /service\.persistence\.size is 50Gi.* made with 10Gi/],
    ["service", "10Gi", "10Gi", /^$/],
    ["service", "10Gi", "10240Mi", /^$/],
    ["service", "1536Mi", "1.5Gi", /^$/],
    ["service", "10Gi", "10G", /made with 10Gi/],
    ["rabbitmq", "30Gi", "60Gi", /made with persistence\.size=30Gi, and it is 60Gi/],
    ["rabbitmq", "30Gi", "30720Mi", /^$/],
  ])("of %s keep their size: %s made, %s asked for", async (chart, made, size, reason) => {
    const live = { [`statefulsets/r-${chart}`]: madeWith(made) };
    const values = `persistence.size=${size}${chart === "service" ? `,${logger}` : ""}`;

    expect((await upgradeOf(chart, live, "--set", values)).error).toMatch(reason);
  });
});
