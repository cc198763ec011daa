import { readFileSync } from "node:fs";

const DIR = "charts/wellsent/monitoring";

/** A dashboard of Grafana, as far as tests look at it. */
export interface Dashboard {
  uid: string;
  title: string;
  ids: number[];
  queries: { panel: string; expr: string }[];
}

/** The dashboards with the queries of their panels. */
export function dashboards(): Dashboard[] {
  return ["mail-flow", "service"].map((name) => {
    const { uid, title, panels } = JSON.parse(readFileSync(`${DIR}/${name}.json`, "utf8")) as {
      uid: string;
      title: string;
      panels: { id: number; title: string; targets: { expr: string }[] }[];
    };
    const queries = panels.flatMap((panel) =>
      panel.targets.map(({ expr }) => ({ panel: panel.title, expr })),
    );
    return { uid, title, ids: panels.map(({ id }) => id), queries };
  });
}

/** The alerts' names and what they ask. */
export function alerts(): { name: string; text: string }[] {
  const text = readFileSync(`${DIR}/alerts.yaml`, "utf8");
  const [, ...rules] = text.split("- alert: ");
  return rules.map((rule) => ({ name: rule.slice(0, rule.indexOf("\n")), text: rule }));
}
