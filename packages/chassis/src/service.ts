import { createAmqpMetrics } from "./amqp/metrics.ts";
import type { Topology } from "./amqp/topology.ts";
import type { commonConfig } from "./config.ts";
import type { Component } from "./lifecycle.ts";
import { createLogger } from "./logger.ts";
import { createRegistry } from "./metrics.ts";
import { createMetricsServer, type Check } from "./metrics-server.ts";
import type { Host, Program } from "./run-main.ts";

type Config = ReturnType<typeof commonConfig>;

/** Creates what every service has: its log, its registry, its metrics port, and what its AMQP parts share. */
export function createService(service: string, config: Config, topology: Topology, host: Host) {
  const log = createLogger(service, config.log);
  const registry = createRegistry(service);
  const metrics = createAmqpMetrics(registry);
  return {
    log,
    registry,
    amqp: { service, url: config.amqp.url, topology, metrics, fail: host.fail, log },
    /** The whole service. The metrics port comes first and goes last. */
    program: (checks: readonly Check[], components: readonly Component[]): Program => {
      const metricsServer = createMetricsServer({ ...config.metrics, registry, checks, log });
      const { shutdownDeadlineMs } = config;
      return { log, shutdownDeadlineMs, components: [metricsServer, ...components] };
    },
  };
}
