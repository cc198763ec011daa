import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { alerts, dashboards } from "../support/monitoring.ts";

const read = (file: string) => readFileSync(file, "utf8");
const named = (text: string) => new Set(text.match(/\bwellsent_[a-z_]+/g) ?? []);

describe("alerts", () => {
  it("are headings of the runbook, each with meaning, impact, diagnosis and mitigation", () => {
    const [, ...sections] = read("docs/runbook.md").split("\n### ");
    const headings = sections.map((section) => section.slice(0, section.indexOf("\n")));

    expect(headings).toEqual(alerts().map(({ name }) => name));
    for (const word of ["Meaning", "Impact", "Diagnosis", "Mitigation"])
      for (const section of sections) expect(section.toLowerCase()).toContain(word.toLowerCase());
  });

  it("are each tried to fire, and to be silent before and after", () => {
    interface Tried {
      alertname: string;
      eval_time: string;
      exp_alerts?: object[];
    }
    const { tests } = parse(read("test/compose/alerts.yaml")) as {
      tests: { alert_rule_test: Tried[] }[];
    };
    const course = (name: string) =>
      tests.map(({ alert_rule_test: all }) =>
        all
          .filter(({ alertname }) => alertname === name)
          .sort((a, b) => parseInt(a.eval_time) - parseInt(b.eval_time))
          .map(({ exp_alerts: expected }) => (expected ? "fires" : "silent"))
          .join(" "),
      );

    for (const { name } of alerts())
      expect([name, ...course(name)]).toContainEqual(expect.stringMatching(/silent fires silent/));
  });
});

describe("alerts and dashboards", () => {
  it("know no metric of ours that is not served", () => {
    const documented = named(read("docs/metrics.md"));
    const texts = [...alerts(), ...dashboards().flatMap(({ queries }) => queries)].map((each) =>
      "expr" in each ? each.expr : each.text,
    );
    const used = [...named(texts.join("\n"))].map((name) =>
      name.replace(/_(bucket|sum|count)$/, ""),
    );

    expect(used.length).toBeGreaterThan(20);
    expect(used.filter((name) => !documented.has(name))).toEqual([]);
  });

  it("show one namespace's where there are others, another's broker too", () => {
    const exprs = dashboards().flatMap(({ queries }) => queries.map(({ expr }) => expr));
    const ours = exprs.filter((expr) => /rabbitmq_|wellsent_/.test(expr));

    expect(ours.length).toBeGreaterThan(40);
    expect(ours.filter((expr) => !expr.includes('namespace=~"$namespace"'))).toEqual([]);
  });

  it("have panels with numbers and a name of their own", () => {
    for (const { uid, ids } of dashboards()) {
      expect(uid).toMatch(/^wellsent-/);
      expect(new Set(ids).size).toBe(ids.length);
    }
    expect(new Set(dashboards().map(({ uid }) => uid)).size).toBe(dashboards().length);
  });
});
