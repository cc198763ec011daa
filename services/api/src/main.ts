import {
  AmqpConnection,
  createAmqpMetrics,
  createMetricsServer,
  createRegistry,
  Publisher,
  runMain,
} from "@posthorn/chassis";
import { topology as topologyWith } from "@posthorn/contract";
import { ApiKeys } from "./api-keys.ts";
import { createApp } from "./app.ts";
import { Backlog } from "./backlog.ts";
import { loadConfig } from "./config.ts";
import { HttpServer } from "./http-server.ts";
import { createApiMetrics } from "./metrics.ts";

runMain(({ env, createLog, fail }) => {
  const config = loadConfig(env);

  const log = createLog("api", config.log);
  const registry = createRegistry("api");
  const amqpMetrics = createAmqpMetrics(registry);
  const metrics = createApiMetrics(registry);

  const topology = topologyWith(config.amqp.articleExchange);
  const amqp = { url: config.amqp.url, service: "api", metrics: amqpMetrics, log };
  const control = new AmqpConnection({ ...amqp, purpose: "control" });
  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const session = { topology, fail, log };
  const backlog = new Backlog({ ...session, connection: control, metrics, ...config.limits });
  const publisher = new Publisher({
    ...session,
    ...config.publish,
    connection: publishing,
    metrics: amqpMetrics,
  });

  const keys = new ApiKeys({ file: config.apiKeysFile, log });
  const app = createApp({
    publish: (publication) => publisher.publish(publication),
    refusal: () => publisher.refusal() ?? backlog.refusal(),
    authenticate: keys.authenticate,
    ...config.limits,
    metrics,
    log,
  });
  const http = new HttpServer({
    ...config.http,
    handle: app,
    refused: (status) => {
      metrics.requests.inc({ method: "unknown", route: "unknown", status });
    },
    log,
  });
  const checks = [control.check, publishing.check, backlog.check, http.check];
  const probes = createMetricsServer({ ...config.metrics, registry, checks, log });

  // Started left to right, stopped right to left: the last requests are answered before the publisher goes,
  // and probes until the end.
  return {
    log,
    shutdownDeadlineMs: config.shutdownDeadlineMs,
    components: [probes, keys, control, publishing, backlog, publisher, http],
  };
});
