import {
  AmqpConnection,
  Consumer,
  createService,
  Publisher,
  Recent,
  runMain,
} from "@posthorn/chassis";
import { LOGGER_QUEUE, RECIPIENTS_MAX, topology } from "@posthorn/contract";
import type { AuditLine } from "./audit-line.ts";
import { AuditLog } from "./audit-log.ts";
import { loadConfig } from "./config.ts";
import { GroupCommit } from "./group-commit.ts";
import { createHandler } from "./handle-record.ts";
import { Ledger } from "./ledger.ts";
import { createInternalServer } from "./internal-server.ts";
import { createLoggerMetrics } from "./metrics.ts";
import { createDecide } from "./parked-decision.ts";
import { isParked } from "./parked-list.ts";
import { createPasses } from "./parked-pass.ts";
import { createRedaction } from "./redaction.ts";
import { createRecord } from "./sinks.ts";
import { createTwins } from "./twins.ts";
import { WriterLock } from "./writer-lock.ts";

/** The query may have come before the publisher is connected again. */
const ANSWER_MS = 10_000;

runMain((host) => {
  const config = loadConfig(host.env);
  const declared = topology(config.amqp.articleExchange);
  const { log, registry, amqp, program } = createService("logger", config, declared, host);
  const asked = { rows: (sql: string) => ledger.rows(sql) };
  const metrics = createLoggerMetrics(registry, config.audit.directory, asked);

  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const consuming = new AmqpConnection({ ...amqp, purpose: "consume" });
  const publishes = { ...amqp, connection: publishing, windowSize: config.prefetch };
  const publisher = new Publisher(publishes);

  // All lines of all deliveries in flight: after a kill, so many may stand that were not acknowledged.
  const linesMax = config.prefetch * RECIPIENTS_MAX;
  const events = new Recent<void>(linesMax, () => metrics.duplicatesSkipped.inc());
  const lock = new WriterLock(config.audit.directory, log);
  const seen = (lines: readonly AuditLine[]) => {
    for (const { eventId } of lines) events.add(eventId);
    ledger.add(lines);
  };
  const store = new AuditLog({
    ...config.audit,
    isParked: (delivery): boolean => isParked(ledger, delivery),
    linesMax,
    seen,
    log,
  });
  const ledger = new Ledger({ ...config.audit, lines: () => store.lines(), metrics, log });
  const commit = new GroupCommit({ store, ledger, consumer: () => consumer, metrics, log });
  const redaction = createRedaction(config.redaction);
  const write = createRecord(commit.append);

  const twins = createTwins();
  const handle = createHandler({
    record: (line) => events.once(line.eventId, () => write(redaction.line(line))),
    publish: (publication, signal) => publisher.publishUntilConfirmed(publication, signal),
    known: (query) => ({ ...ledger.answer(query.delivery), twin: twins.hasTwin(query) }),
    twins,
    answer: (publication) => publisher.publishWithin(publication, ANSWER_MS),
    metrics,
    log,
  });
  // Of passes alone: what a pass takes and what it publishes share a channel, and so an end.
  const passing = new Publisher(publishes);
  const decide = createDecide({ publisher: passing, ledger });
  const passes = createPasses({ publisher: passing, decide, log });
  const internal = createInternalServer({
    ...config.internal,
    ending: redaction.ending,
    ledger,
    passes,
    publisher: passing,
    log,
  });
  const consumer = new Consumer({
    ...amqp,
    connection: consuming,
    queues: [LOGGER_QUEUE],
    budget: config.prefetch,
    handle,
  });
  const checks = [
    lock.check,
    commit.check,
    ledger.check,
    publishing.check,
    consuming.check,
    consumer.check,
  ];

  // Started left to right, stopped right to left.
  return program(checks, [
    lock,
    ledger,
    commit,
    publishing,
    consuming,
    publisher,
    passing,
    consumer,
    internal,
  ]);
});
