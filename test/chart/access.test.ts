import { describe, expect, it } from "@jest/globals";
import { render, type KubeObject } from "../support/helm.ts";

interface Rule {
  ports: { port: number | string }[];
  from?: object[];
  to?: object[];
}

const SCRAPER = {
  namespaceSelector: {},
  podSelector: { matchLabels: { "wellsent.io/scrape": "true" } },
};
const OPERATOR = {
  podSelector: {
    matchLabels: { "app.kubernetes.io/instance": "rel", "wellsent.io/operator": "true" },
  },
};

function set(values: string): KubeObject[] {
  const { objects, error } = render("rel", ...(values ? ["--set", values] : []));
  expect(error).toBe("");
  return objects;
}

const named = (objects: readonly KubeObject[], kind: string, name: string) =>
  objects.find((each) => each.kind === kind && each.metadata.name === name);

/** What a part's policy opens, by port: `undefined` is everyone. */
function opened(
  part: string,
  direction: "ingress" | "egress",
  values = "",
): [ports: (number | string)[], peers: object[] | undefined][] {
  const policy = named(set(values), "NetworkPolicy", `rel-${part}`);
  const rules = policy?.spec?.[direction] as Rule[];
  return rules.map(({ ports, from, to }) => [ports.map(({ port }) => port), from ?? to]);
}

describe("a service's NetworkPolicy", () => {
  it("opens each port to whom it is for, and no other", () => {
    expect(opened("api", "ingress")).toEqual([
      [["metrics"], [SCRAPER]],
      [["http"], undefined],
    ]);
    expect(opened("emailer", "ingress")).toEqual([[["metrics"], [SCRAPER]]]);
    expect(opened("logger", "ingress")).toEqual([
      [["metrics"], [SCRAPER]],
      [["internal"], [OPERATOR]],
    ]);
  });

  it("lets in only those whom `httpFrom` names", () => {
    const named = "api.httpFrom[0].podSelector.matchLabels.app=shop";

    expect(opened("api", "ingress", named)[1]).toEqual([
      ["http"],
      [{ podSelector: { matchLabels: { app: "shop" } } }],
    ]);
  });

  it("lets nobody but the emailer out of the release, but for names", () => {
    const relay = "global.relay.urls=smtp://a,global.relay.from=a@b.example";
    const outside = (part: string) =>
      opened(part, "egress", relay)
        .filter(([, peers]) => peers === undefined)
        .map(([ports]) => ports);

    expect(outside("api")).toEqual([]);
    expect(outside("logger")).toEqual([]);
    expect(outside("emailer")).toEqual([[25, 465, 587, 2465, 2525, 2587]]);
  });

  it("is not there when NetworkPolicies are not wanted", () => {
    const kinds = set("global.networkPolicy.enabled=false").map(({ kind }) => kind);

    expect(kinds).not.toContain("NetworkPolicy");
  });
});

describe("the API from outside", () => {
  it("has an Ingress to its port, with the certificate that is named", () => {
    const ingress = "api.ingress.enabled=true,api.ingress.host=a.example,api.ingress.tlsSecret=tls";

    expect(named(set(ingress), "Ingress", "rel-api")?.spec).toMatchObject({
      tls: [{ hosts: ["a.example"], secretName: "tls" }],
      rules: [
        {
          host: "a.example",
          http: { paths: [{ backend: { service: { name: "rel-api", port: { name: "http" } } } }] },
        },
      ],
    });
  });

  it("has an HTTPRoute to its port", () => {
    const route = "api.httpRoute.enabled=true,api.httpRoute.parentRefs[0].name=gateway";

    expect(named(set(route), "HTTPRoute", "rel-api")?.spec).toMatchObject({
      parentRefs: [{ name: "gateway" }],
      rules: [{ backendRefs: [{ name: "rel-api", port: 8080 }] }],
    });
  });
});

describe("a release that is deleted", () => {
  const kept = (values: string) =>
    set(values)
      .filter(({ metadata }) => metadata.annotations?.["helm.sh/resource-policy"] === "keep")
      .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
      .sort();

  it("leaves the Secrets that its volumes are known by", () => {
    expect(kept("global.rabbitmq.tls.enabled=true")).toEqual([
      "Secret rel-api-keys",
      "Secret rel-internal",
      "Secret rel-rabbitmq",
      "Secret rel-rabbitmq-tls",
    ]);
  });

  it("leaves none where the volumes go too", () => {
    const go = ["logger", "rabbitmq"].map(
      (part) => `${part}.persistence.retentionPolicy.whenDeleted=Delete`,
    );

    expect(kept(go.join(","))).toEqual([]);
  });
});

describe("global values", () => {
  it("give every image the registry, and every pod the pull secret", () => {
    const objects = set("global.imageRegistry=mirror.example,global.imagePullSecrets={pull}");
    const pods = objects.filter(({ spec }) => JSON.stringify(spec ?? "").includes('"containers"'));

    expect(pods.length).toBe(7);
    for (const { spec } of pods) {
      const text = JSON.stringify(spec);
      expect(text).toContain('"imagePullSecrets":[{"name":"pull"}]');
      expect(text.match(/"image":"(?!mirror\.example\/)/g)).toBeNull();
    }
  });

  it("disrupt one pod of a kind at a time, and hold up no drain for what runs once", () => {
    const budgets = (values: string) =>
      set(values)
        .filter(({ kind }) => kind === "PodDisruptionBudget")
        .map(({ metadata }) => metadata.name);

    expect(budgets("")).toEqual(["rel-api"]);
    expect(budgets("emailer.replicaCount=2,rabbitmq.replicaCount=3").sort()).toEqual([
      "rel-api",
      "rel-emailer",
      "rel-rabbitmq",
    ]);
  });
});
