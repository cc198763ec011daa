import {
  AmqpConnection,
  Consumer,
  createAmqpMetrics,
  createMetricsServer,
  createRegistry,
  Publisher,
  runMain,
} from "@posthorn/chassis";
import { LOGGER_QUEUE, RECIPIENTS_MAX, topology } from "@posthorn/contract";
import { AuditLog } from "./audit-log.ts";
import { loadConfig } from "./config.ts";
import { GroupCommit } from "./group-commit.ts";
import { createHandler } from "./handle-record.ts";
import { createLoggerMetrics } from "./metrics.ts";
import { RecentEvents } from "./recent-events.ts";
import { createRecord } from "./sinks.ts";
import { WriterLock } from "./writer-lock.ts";

const CONFIRM_MS = 10_000;

runMain(({ env, createLog, fail }) => {
  const config = loadConfig(env);
  const log = createLog("logger", config.log);
  const registry = createRegistry("logger");
  const amqpMetrics = createAmqpMetrics(registry);
  const metrics = createLoggerMetrics(registry, config.audit.directory);

  const common = { service: "logger", url: config.amqp.url, metrics: amqpMetrics, log };
  const publishing = new AmqpConnection({ ...common, purpose: "publish" });
  const consuming = new AmqpConnection({ ...common, purpose: "consume" });
  const declared = topology(config.amqp.articleExchange);
  const amqp = { topology: declared, metrics: amqpMetrics, fail, log };
  const publisher = new Publisher({
    ...amqp,
    connection: publishing,
    windowSize: config.amqp.prefetch,
    timeoutMs: CONFIRM_MS,
  });

  // All lines of all deliveries in flight: after a kill, so many may stand that were not acknowledged.
  const eventsMax = config.amqp.prefetch * RECIPIENTS_MAX;
  const events = new RecentEvents(eventsMax, () => {
    metrics.duplicatesSkipped.inc();
  });
  const seen = (eventId: string) => {
    events.add(eventId);
  };
  const lock = new WriterLock(config.audit.directory, log);
  const store = new AuditLog({ ...config.audit, eventsMax, seen, log });
  const flow = {
    pause: () => {
      consumer.pause();
    },
    release: () => {
      void consumer.release();
    },
    resume: () => {
      consumer.resume();
    },
  };
  const commit = new GroupCommit({ store, flow, metrics, log });
  const write = createRecord(commit.append);

  const handle = createHandler({
    record: (line) => events.once(line.eventId, () => write(line)),
    publish: (publication, signal) => publisher.publishUntilConfirmed(publication, signal),
    metrics,
    log,
  });
  const consumer = new Consumer({
    ...amqp,
    connection: consuming,
    queues: [LOGGER_QUEUE],
    budget: config.amqp.prefetch,
    handle,
  });
  const checks = [lock.check, commit.check, publishing.check, consuming.check, consumer.check];
  const metricsServer = createMetricsServer({ ...config.metrics, registry, checks, log });

  return {
    log,
    shutdownDeadlineMs: config.shutdownDeadlineMs,
    components: [metricsServer, lock, commit, publishing, consuming, publisher, consumer],
  };
});
