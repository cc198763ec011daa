import type { CommonConfig, Service } from "@wellsent/runtime";
import { createAmqpMetrics } from "./metrics.ts";
import type { Topology } from "./declare.ts";

/** Returns the options that all AMQP parts of a service share. */
export function amqpParts(service: Service, config: CommonConfig, topology: Topology) {
  const { name, registry, log, fail } = service;
  const metrics = createAmqpMetrics(registry);
  return { service: name, url: config.amqp.url, topology, metrics, fail, log };
}
