import type { FlowControl } from "@wellsent/amqp";
import { Ledger, SqliteStore } from "@wellsent/ledger";
import { SingleFlight, type Component, type Log } from "@wellsent/runtime";
import type { AuditConfig } from "../config.ts";
import type { LoggerMetrics } from "../metrics.ts";
import type { Open } from "./file.ts";
import { GroupCommit } from "./group-commit.ts";
import type { AuditLine } from "./line.ts";
import { AuditLog } from "./log.ts";
import { createRedaction, type RedactionOptions } from "./redaction.ts";
import { RetentionClock } from "./retention-clock.ts";
import { createRecord } from "./sinks.ts";

const DAY_MS = 86_400_000;
/** How long a start waits for the ledger, in milliseconds; a whole rebuild goes on beside the service. */
const CATCH_UP_MS = 5_000;

/** What the record is made of. */
export interface RecordParts {
  audit: AuditConfig;
  redaction: RedactionOptions;
  /** Most events that are remembered, so that a repeated one is not written again. */
  linesMax: number;
  /** Paused while the audit log's disk is in trouble. */
  flow: Pick<FlowControl, "pause" | "release" | "resume">;
  metrics: LoggerMetrics;
  log: Log;
  /** For lines to people; the standard output by default. */
  stdout?: Parameters<typeof createRecord>[1];
  open?: Open;
}

/** Builds the way of a record from an event to the audit log's disk and the ledger, as the service runs it. */
export function createPipeline(parts: RecordParts) {
  const { audit, linesMax, flow, metrics, log, open } = parts;
  const events = new SingleFlight<void>(linesMax);
  const seen = (lines: readonly AuditLine[]) => {
    for (const { eventId } of lines) events.add(eventId);
  };
  const store: AuditLog = new AuditLog({
    ...{ ...audit, linesMax, seen, log, ...(open && { open }) },
    isParked: (delivery) => ledger.isParked(delivery),
    forgetFile: (name) => ledger.forgetFile(name),
    retentionNow: () => clock.now(),
  });
  const { directory, retentionDays } = audit;
  const clock: RetentionClock = new RetentionClock({
    ...{ directory, log },
    newestDay: () => store.newestDay(),
    onTick: () => store.expire(),
  });
  const onWhole = (whole: boolean): void => {
    metrics.ledgerBroken.set(whole ? 0 : 1);
    if (whole) void store.expire();
  };
  const keptSince = () =>
    retentionDays === 0 ? 0 : Math.max(0, clock.now() - retentionDays * DAY_MS);
  const ledger: Ledger = new Ledger({
    ...{ store: new SqliteStore(directory), files: store, keptSince, onWhole, log },
  });
  const commit = new GroupCommit({ store, ledger, flow, metrics, log });
  const redaction = createRedaction(parts.redaction);
  const write = createRecord(commit.append, parts.stdout);
  const record = (line: AuditLine) =>
    events.runOnce(line.eventId, () => write(redaction.line(line)));
  // After the audit log has opened: what the ledger is behind is a moment's work, and then nobody is told that it is broken.
  const catchUp: Component = {
    name: "ledger catch-up",
    start: () => ledger.settled(CATCH_UP_MS),
    stop: () => undefined,
  };
  return { clock, commit, ledger, record, redaction, components: [ledger, commit, catchUp, clock] };
}
