import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { render } from "../support/helm.ts";
import { alerts, dashboards } from "../support/monitoring.ts";

const read = (file: string) => readFileSync(file, "utf8");
const named = (text: string) => new Set(text.match(/\bwellsent_[a-z_]+/g) ?? []);

/** The four blocks of a section, in their order. */
const BLOCKS = ["Symptom", "Check", "Fix", "Is it safe to wait?"];
/** Sections that tell how to use the page. */
const GENERAL = ["Commands", "Triage", "Alerts"];

describe("the runbook", () => {
  /** The sections by heading, those of alerts too, with the text of each block. */
  const sections = read("docs/runbook.md")
    .split(/^##+ /m)
    .slice(1)
    .map((section) => {
      const [heading = "", ...rest] = section.split("\n");
      const blocks = rest
        .join("\n")
        .split(/^\*\*(.+)\*\*$/m)
        .slice(1);
      return { heading, rest: rest.join("\n"), blocks };
    });
  const headings = sections.map(({ heading }) => heading);

  it("has a section for each alert, in their order", () => {
    expect(headings.slice(headings.indexOf("Alerts") + 1)).toEqual(
      alerts().map(({ name }) => name),
    );
  });

  it.each(sections.filter(({ heading }) => !GENERAL.includes(heading)))(
    "says of $heading what you see, how to check it, how to fix it, and whether it may wait",
    ({ blocks }) => {
      expect(blocks.filter((_, index) => index % 2 === 0)).toEqual(BLOCKS);
      for (const text of blocks.filter((_, index) => index % 2 === 1)) {
        // A link to another section alone is no content.
        const own = text.replaceAll(/\[[^\]]*\]\([^)]*\)/g, "");
        expect(own).toMatch(/\w[^]{2,}/);
      }
    },
  );

  it("gives every alert's check a command or a panel to look at", () => {
    const ofAlerts = sections.slice(headings.indexOf("Alerts") + 1);

    for (const { heading, blocks } of ofAlerts) {
      expect([heading, blocks[3]]).toEqual([
        heading,
        expect.stringMatching(
          /`(ready|ask|audit|logs|rabbit|docker compose|kubectl) |panel|wellsent_/,
        ),
      ]);
    }
  });

  it("uses no command that its first section does not define", () => {
    const rest = sections[0]?.rest ?? "";
    for (const name of ["ready", "ask", "audit", "logs", "rabbit"]) {
      expect([name, rest.match(new RegExp(`^${name}\\(\\) \\{`, "gm"))?.length]).toEqual([name, 3]);
    }
  });
});

describe("alerts", () => {
  it("each name their section of the runbook", () => {
    for (const { name, text } of alerts()) {
      expect(text).toContain(`runbook_url: docs/runbook.md#${name.toLowerCase()}\n`);
    }
  });

  it("name it where the runbook is, on Kubernetes", () => {
    const url =
      "global.monitoring.enabled=true,global.monitoring.runbookUrl=https://wiki.example/run";
    const { objects } = render("rel", "--set", url);
    const rules = JSON.stringify(objects.find(({ kind }) => kind === "PrometheusRule")?.spec);

    expect(rules).toContain('"runbook_url":"https://wiki.example/run#wellsentnotflowing"');
    expect(rules).not.toContain("docs/runbook.md");
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

    for (const { name } of alerts()) {
      expect([name, ...course(name)]).toContainEqual(expect.stringMatching(/silent fires silent/));
    }
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
