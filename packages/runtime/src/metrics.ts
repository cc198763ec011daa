import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import manifest from "../package.json" with { type: "json" };

/** Gauges of prom-client with the names of counters, which `promtool check metrics` rejects. Gauges by type have the same data. */
const MISNAMED = ["handles", "requests", "resources"].map((kind) => `nodejs_active_${kind}_total`);

/** Creates the metrics registry of a service, with the metrics of its process and `wellsent_build_info`. */
export function createRegistry(service: string): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const { gauge } = meter(registry, {
    wellsent_build_info: "Always 1; labels: the service and its version",
  });
  gauge("wellsent_build_info", "service", "version").set({ service, version: manifest.version }, 1);
  return registry;
}

/** Returns functions that create metrics in a registry. `help`: the help text of each metric, by its name. */
export function meter<Name extends string>(registry: Registry, help: Record<Name, string>) {
  const about = (name: Name) => ({ name, help: help[name], registers: [registry] });
  return {
    counter: <Label extends string = never>(name: Name, ...labelNames: Label[]) =>
      new Counter({ ...about(name), labelNames }),
    gauge: <Label extends string = never>(name: Name, ...labelNames: Label[]) =>
      new Gauge({ ...about(name), labelNames }),
    histogram: <Label extends string = never>(name: Name, buckets: number[], ...labels: Label[]) =>
      new Histogram({ ...about(name), buckets, labelNames: labels }),
    /** Creates a gauge whose value is set each time that Prometheus reads the metrics. */
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
