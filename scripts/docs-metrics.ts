import { createAmqpMetrics } from "@wellsent/amqp";
import { createRegistry } from "@wellsent/runtime";
import type { Registry } from "prom-client";
import { createApiMetrics } from "../services/api/src/metrics.ts";
import { createEmailerMetrics } from "../services/emailer/src/metrics.ts";
import { createLoggerMetrics, sampleRecord } from "../services/logger/src/metrics.ts";

/** docs/metrics.md, of the metrics as they are registered; `generated` is the note that it is not written by hand. */
export function metrics(generated: string): string {
  const perService: Record<string, (registry: Registry) => void> = {
    api: (registry) => void createApiMetrics(registry),
    emailer: (registry) => void createEmailerMetrics(registry),
    logger: (registry) => {
      createLoggerMetrics(registry);
      sampleRecord(registry, ".");
    },
  };
  const sections = Object.entries(perService).map(([name, create]) => {
    const registry = createRegistry(name);
    create(registry);
    return `## ${name}\n\n${metricTable(registry)}`;
  });
  const common = createRegistry("common");
  createAmqpMetrics(common);
  return `# Metrics

${generated}

Every service serves them on its metrics port, \`GET /metrics\`, with Node.js' own (\`nodejs_*\`, \`process_*\`).

## every service

${metricTable(common)}

${sections.map((section) => section.replace(/^\| `wellsent_build_info.*\n?/m, "")).join("\n\n")}
`;
}

interface Described {
  name: string;
  help: string;
  type: string;
  labelNames?: string[];
}

function metricTable(registry: Registry): string {
  const ours = (registry.getMetricsAsArray() as unknown as Described[]).filter(({ name }) =>
    name.startsWith("wellsent_"),
  );
  const rows = ours.map(
    ({ name, help, type, labelNames = [] }) =>
      `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(", ")} | ${help} |`,
  );
  return `| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}`;
}
