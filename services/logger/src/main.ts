import {
  AmqpConnection,
  Consumer,
  createService,
  Publisher,
  Recent,
  runMain,
} from "@posthorn/chassis";
import { LOGGER_QUEUE, RECIPIENTS_MAX, topology } from "@posthorn/contract";
import { AuditLog } from "./audit-log.ts";
import { loadConfig } from "./config.ts";
import { GroupCommit } from "./group-commit.ts";
import { createHandler } from "./handle-record.ts";
import { createLoggerMetrics } from "./metrics.ts";
import { createRecord } from "./sinks.ts";
import { WriterLock } from "./writer-lock.ts";

const CONFIRM_MS = 10_000;

runMain((host) => {
  const config = loadConfig(host.env);
  const declared = topology(config.amqp.articleExchange);
  const { log, registry, amqp, program } = createService("logger", config, declared, host);
  const metrics = createLoggerMetrics(registry, config.audit.directory);

  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const consuming = new AmqpConnection({ ...amqp, purpose: "consume" });
  const publisher = new Publisher({
    ...amqp,
    connection: publishing,
    windowSize: config.prefetch,
    timeoutMs: CONFIRM_MS,
  });

  // All lines of all deliveries in flight: after a kill, so many may stand that were not acknowledged.
  const eventsMax = config.prefetch * RECIPIENTS_MAX;
  const events = new Recent<void>(eventsMax, () => metrics.duplicatesSkipped.inc());
  const lock = new WriterLock(config.audit.directory, log);
  const store = new AuditLog({ ...config.audit, eventsMax, seen: (id) => events.add(id), log });
  const commit = new GroupCommit({ store, consumer: () => consumer, metrics, log });
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
    budget: config.prefetch,
    handle,
  });
  const checks = [lock.check, commit.check, publishing.check, consuming.check, consumer.check];

  // Started left to right, stopped right to left.
  return program(checks, [lock, commit, publishing, consuming, publisher, consumer]);
});
