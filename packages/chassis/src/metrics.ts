import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import manifest from "../package.json" with { type: "json" };

/** Creates the registry of one service, with the process's own metrics and `posthorn_build_info`. */
export function createRegistry(service: string): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "posthorn_build_info",
    help: "Always 1; the labels say what runs",
    labelNames: ["service", "version"],
    registers: [registry],
  }).set({ service, version: manifest.version }, 1);
  return registry;
}
