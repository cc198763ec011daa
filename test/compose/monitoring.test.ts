import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { createProject, docker, type Project } from "../support/compose.ts";
import { dashboards } from "../support/monitoring.ts";
import { waitFor } from "@wellsent/testing";

jest.setTimeout(600_000);

const PROMETHEUS = "prom/prometheus:v3";
/** What Grafana makes of it over a short range: four scrapes. */
const RATE_INTERVAL = "40s";

let project: Project;
beforeAll(async () => {
  project = await createProject();
  // Grafana's image is as large as all others together, and its dashboards' queries do not need it.
  const what = ["prometheus", "haproxy", "emailer"];
  await project.compose(["--profile", "monitoring", "up", "-d", "--wait", ...what]);
});
afterAll(() => project.remove());

async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(`${project.prometheus}/api/v1/${path}`);
  return ((await answer.json()) as { data: T }).data;
}

/** The logger publishes nothing while it can record everything. */
const QUIET = /Confirms of the broker: .*service="logger"/;

/** A panel's query for each choice of the variable. */
function choices(expr: string): string[] {
  // n.b. Docker Compose has no namespaces: all of them match a label that is not there.
  const query = expr.replaceAll("$__rate_interval", RATE_INTERVAL).replaceAll("$namespace", ".*");
  return expr.includes("$service")
    ? ["api", "emailer", "logger"].map((service) => query.replaceAll("$service", service))
    : [query];
}

describe("Prometheus", () => {
  it("scrapes every service, and the broker twice", async () => {
    interface Target {
      scrapePool: string;
      scrapeUrl: string;
      health: string;
    }
    const targets = await waitFor(
      "five targets that are up",
      async () => {
        const { activeTargets } = await ask<{ activeTargets: Target[] }>("targets?state=active");
        const up = activeTargets.filter(({ health }) => health === "up");
        return up.length === activeTargets.length && up.length === 5 ? up : undefined;
      },
      60_000,
    );

    const pools = targets.map(({ scrapePool }) => scrapePool).sort();
    expect(pools).toEqual(["rabbitmq", "rabbitmq-queues", "wellsent", "wellsent", "wellsent"]);
  });

  it("loads all the rules, and none fails", async () => {
    interface Rule {
      name: string;
      health: string;
      lastError?: string;
    }
    const rules = await waitFor(
      "all rules evaluated",
      async () => {
        const { groups } = await ask<{ groups: { rules: Rule[] }[] }>("rules");
        const all = groups.flatMap((group) => group.rules);
        return all.every(({ health }) => health !== "unknown") ? all : undefined;
      },
      60_000,
    );

    const written = readFileSync("charts/wellsent/monitoring/alerts.yaml", "utf8");
    expect(rules.map(({ name }) => name)).toEqual(
      [...written.matchAll(/- alert: (\w+)/g)].map(([, name]) => name),
    );
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
  });

  it("has data for every query of the dashboards after a minute of traffic", async () => {
    let over = false;
    const sending = project.send({ count: 0, clients: 2, until: () => over });
    await sleep(60_000);
    const missing: string[] = [];
    const asked = dashboards().flatMap(({ title, queries }) =>
      queries.flatMap(({ panel, expr }) =>
        choices(expr).map((query) => ({ name: `${title}: ${panel}: ${query}`, query })),
      ),
    );
    for (const { name, query } of asked) {
      const { result } = await ask<{ result: { value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(query)}`,
      );
      const numbers = result.map(({ value }) => Number(value[1]));
      if (!numbers.some(Number.isFinite) && !QUIET.test(name)) missing.push(name);
    }
    over = true;
    await sending;

    expect(missing).toEqual([]);
  });
});

describe("the metrics", () => {
  it.each(["api", "emailer", "logger"])(
    "of %s are as Prometheus would have them",
    async (service) => {
      const [container = ""] = await project.containers(service);
      const read = "fetch('http://localhost:9464/metrics').then((a) => a.text()).then(console.log)";
      const input = await docker("exec", container, "/nodejs/bin/node", "-e", read);

      const promtool = ["run", "--rm", "-i", "--entrypoint=promtool", PROMETHEUS];
      const check = spawnSync("docker", [...promtool, "check", "metrics"], { input: `${input}\n` });

      expect(input).toContain("wellsent_build_info");
      expect([check.status, String(check.stderr)]).toEqual([0, ""]);
    },
  );
});

describe("the alerts", () => {
  it("fire and clear", async () => {
    const tool = ["-v", `${process.cwd()}:/repository:ro`, "--entrypoint=promtool", PROMETHEUS];
    const said = await docker(
      "run",
      "--rm",
      ...tool,
      "test",
      "rules",
      "/repository/test/compose/alerts.yaml",
    );

    expect(said).toContain("SUCCESS");
  });
});
