import { amqpParts, AmqpConnection, Consumer, FlowControl, Publisher } from "@wellsent/amqp";
import { createRecent, createService, runMain, type Recent } from "@wellsent/runtime";
import { LOGGER_LOCK_QUEUE, LOGGER_QUEUE, RECIPIENTS_MAX, topology } from "@wellsent/contract";
import type { AuditLine } from "./audit/line.ts";
import { AuditLog } from "./audit/log.ts";
import { loadConfig } from "./config.ts";
import { GroupCommit } from "./audit/group-commit.ts";
import { createHandler } from "./intake/handle-message.ts";
import { Ledger } from "./ledger.ts";
import { createInternalServer } from "./operator-api/server.ts";
import { createLoggerMetrics } from "./metrics.ts";
import { createDecide } from "./parked/decide.ts";
import { isParked } from "./parked/list.ts";
import { createPasses } from "./parked/pass.ts";
import { createRedaction } from "./audit/redaction.ts";
import { createRecord } from "./audit/sinks.ts";
import { createTwins } from "./intake/attempt-leases.ts";
import { createWriterLock } from "./audit/writer-lock.ts";

/** A second logger waits until this one is gone: two of them would split the record. */
const ONLY_LOGGER = { queue: LOGGER_LOCK_QUEUE, heldReason: "another logger consumes" };

runMain((host) => {
  const config = loadConfig(host.env);
  const declared = topology(config.amqp.articleExchange);
  const service = createService("logger", config, host);
  const { log, registry, program } = service;
  const amqp = amqpParts(service, config, declared);
  const asked = { rows: (sql: string) => ledger.rows(sql) };
  const metrics = createLoggerMetrics(registry, config.audit.directory, asked);

  const publishing = new AmqpConnection({ ...amqp, purpose: "publish" });
  const consuming = new AmqpConnection({ ...amqp, purpose: "consume" });
  const publishes = { ...amqp, connection: publishing, windowSize: config.prefetch };
  const publisher = new Publisher(publishes);

  // All lines of all deliveries in flight: after a kill, so many may stand that were not acknowledged.
  const linesMax = config.prefetch * RECIPIENTS_MAX;
  const events: Recent<void> = createRecent(linesMax);
  const lock = createWriterLock(config.audit.directory, log);
  const seen = (lines: readonly AuditLine[]) => {
    for (const { eventId } of lines) events.add(eventId);
    ledger.add(lines);
  };
  const rests = (delivery: string): boolean => isParked(ledger, delivery);
  const store = new AuditLog({ ...config.audit, isParked: rests, linesMax, seen, log });
  const ledger = new Ledger({ ...config.audit, lines: () => store.lines(), metrics, log });
  const flow = new FlowControl();
  const commit = new GroupCommit({ store, ledger, flow, metrics, log });
  const redaction = createRedaction(config.redaction);
  const write = createRecord(commit.append);
  const record = (line: AuditLine) => events.once(line.eventId, () => write(redaction.line(line)));
  const handle = createHandler({ record, publisher, ledger, twins: createTwins(), metrics, log });
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

  const checked = [lock, commit, ledger, publishing, consuming, consumer];
  // Started left to right, stopped right to left.
  const components = [lock, ledger, commit, publishing, consuming, publisher, passing, consumer];
  const checks = checked.map(({ check }) => check);
  return program(checks, [...components, internal]);
});
