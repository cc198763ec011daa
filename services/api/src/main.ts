import { amqpParts, AmqpConnection, Publisher } from "@wellsent/amqp";
import { HttpServer } from "@wellsent/http";
import { topology } from "@wellsent/contract";
import { createService, runMain } from "@wellsent/runtime";
import { ApiKeys } from "./api-keys.ts";
import { createApp } from "./app.ts";
import { QueueMonitor } from "./send/queue-monitor.ts";
import { loadConfig } from "./config.ts";
import { createApiMetrics } from "./metrics.ts";

runMain((host) => {
  const config = loadConfig(host.env);
  const declared = topology(config.amqp.articleExchange);
  const service = createService("api", config, host);
  const { log, registry, program } = service;
  const amqp = amqpParts(service, config, declared);
  const metrics = createApiMetrics(registry);

  const control = new AmqpConnection({ ...amqp, purpose: "control" });
  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const queues = new QueueMonitor({ ...amqp, ...config.limits, connection: control, metrics });
  const publisher = new Publisher({ ...amqp, ...config.publish, connection: publishing });

  const keys = new ApiKeys({ file: config.apiKeysFile, metrics, log });
  const app = createApp({
    publish: async (publication) => {
      await publisher.publishWithin(publication, config.patienceMs);
      queues.noteStored(publication.body.length);
    },
    refusal: () => publisher.refusal() ?? queues.refusal(),
    authenticate: keys.authenticate,
    ...config.limits,
    patienceMs: config.patienceMs,
    anonymousOn: config.anonymousOn,
    metrics,
    log,
  });
  const http = new HttpServer({
    ...config.http,
    name: "API",
    handle: app,
    metrics,
    log,
  });
  const checks = [
    control.check,
    publishing.check,
    queues.check,
    publisher.check,
    keys.check,
    http.check,
  ];

  // Stopped from right to left, so that the last requests are answered before the publisher stops.
  return program(checks, [keys, control, publishing, queues, publisher, http]);
});
