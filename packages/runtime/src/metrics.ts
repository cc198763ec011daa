import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import manifest from "../package.json" with { type: "json" };

/** Gauges of prom-client that are named like counters, which `promtool check metrics` refuses; each is there by type too. */
const MISNAMED = ["handles", "requests", "resources"].map((what) => `nodejs_active_${what}_total`);

/** Creates the registry of one service, with the process's own metrics and `wellsent_build_info`. */
export function createRegistry(service: string): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const { gauge } = meter(registry, { wellsent_build_info: "Always 1; the labels say what runs" });
  gauge("wellsent_build_info", "service", "version").set({ service, version: manifest.version }, 1);
  return registry;
}

/** Makes metrics in a registry, by names that stand in a table with what each one tells. */
export function meter<Name extends string>(registry: Registry, help: Record<Name, string>) {
  const about = (name: Name) => ({ name, help: help[name], registers: [registry] });
  return {
    counter: <Label extends string = never>(name: Name, ...labelNames: Label[]) =>
      new Counter({ ...about(name), labelNames }),
    gauge: <Label extends string = never>(name: Name, ...labelNames: Label[]) =>
      new Gauge({ ...about(name), labelNames }),
    histogram: <Label extends string = never>(name: Name, buckets: number[], ...labels: Label[]) =>
      new Histogram({ ...about(name), buckets, labelNames: labels }),
    /** A gauge that is set whenever the metrics are read. */
    sampled: <Label extends string = never>(
      name: Name,
      sample: (gauge: Gauge<Label>) => Promise<void> | void,
      ...labelNames: Label[]
    ) => {
      const collect = (): Promise<void> | void => sample(gauge);
      const gauge = new Gauge<Label>({ ...about(name), labelNames, collect });
    },
  };
}
