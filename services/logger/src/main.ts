import { amqpParts, AmqpConnection, Consumer, FlowControl, Publisher } from "@wellsent/amqp";
import { LOGGER_LOCK_QUEUE, LOGGER_QUEUE, RECIPIENTS_MAX, topology } from "@wellsent/contract";
import { createService, runMain } from "@wellsent/runtime";
import { createPipeline } from "./audit/pipeline.ts";
import { createWriterLock } from "./audit/writer-lock.ts";
import { loadConfig } from "./config.ts";
import { AttemptLeases } from "./intake/attempt-leases.ts";
import { createHandler } from "./intake/handle-message.ts";
import { createLoggerMetrics, sampleRecord } from "./metrics.ts";
import { createInternalServer } from "./operator-api/server.ts";
import { createDecide } from "./parked/decide.ts";
import { createPasses } from "./parked/pass.ts";

/** A second logger waits until this one is gone: two of them would split the record. */
const ONLY_LOGGER = { queue: LOGGER_LOCK_QUEUE, heldReason: "another logger consumes" };

runMain((host) => {
  const config = loadConfig(host.env);
  const declared = topology(config.amqp.articleExchange);
  const service = createService("logger", config, host);
  const { log, registry, program } = service;
  const amqp = amqpParts(service, config, declared);
  const metrics = createLoggerMetrics(registry);

  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const consuming = new AmqpConnection({ ...amqp, purpose: "consume" });
  const publishes = { ...amqp, connection: publishing, windowSize: config.prefetch };
  const publisher = new Publisher(publishes);

  const lock = createWriterLock(config.audit.directory, log);
  const flow = new FlowControl();
  // After a kill, the lines of all messages in flight may be on disk without having been acknowledged.
  const linesMax = config.prefetch * RECIPIENTS_MAX;
  const pipeline = createPipeline({ ...config, linesMax, flow, metrics, log });
  const { clock, commit, ledger, record, redaction } = pipeline;
  sampleRecord(registry, config.audit.directory, ledger);
  const leases = new AttemptLeases();
  const handle = createHandler({ record, publisher, ledger, leases, metrics, log });
  const consumes = { ...amqp, connection: consuming, queues: [LOGGER_QUEUE], handle, flow };
  const consumer = new Consumer({
    ...consumes,
    budget: config.prefetch,
    budgetBytes: config.inFlightBytes,
    lock: ONLY_LOGGER,
  });

  // Of passes alone: what a pass takes and what it publishes share a channel, and so an end.
  const passing = new Publisher(publishes);
  const decide = createDecide({ publisher: passing, ledger });
  const passes = createPasses({ publisher: passing, decide, log });
  const routed = {
    ledger,
    ending: redaction.ending,
    passes,
    publisher: passing,
    metrics: metrics.http,
    log,
  };
  const internal = createInternalServer({ ...config.internal, ...routed });

  const checked = [lock, commit, ledger, clock, publishing, consuming, consumer];
  // Started left to right, stopped right to left.
  const components = [lock, ...pipeline.components, publishing, consuming, publisher, passing];
  const checks = checked.map(({ check }) => check);
  return program(checks, [...components, consumer, internal]);
});
