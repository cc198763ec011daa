import { statfs } from "node:fs/promises";
import { meter } from "@posthorn/chassis";
import type { Registry } from "prom-client";

const HELP = {
  posthorn_audit_disk_free_bytes:
    "Room on the audit log's file system; NaN where it cannot be told",
  posthorn_audit_lines_total:
    "Lines that were written to the audit log and synced, by kind of event",
  posthorn_audit_sync_duration_seconds: "Time to write one group of lines and sync it to disk",
  posthorn_audit_write_errors_total:
    "Attempts to read or write the audit log that failed, by the system's error code",
  posthorn_audit_duplicates_skipped_total:
    "Events that arrived again and already stood in the audit log",
  posthorn_ledger_broken:
    "1 while the ledger is missing, damaged or being built from the audit log",
  posthorn_parked_deliveries:
    "Deliveries that rest until a person replays or deletes them, by reason; none while the ledger is broken",
  posthorn_oldest_waiting_seconds:
    "Age of the oldest delivery that was accepted and never attempted; NaN while the ledger is broken",
  posthorn_logger_unreadable_total: "Messages that could not be read, by code",
};
const SYNC_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** What the logger counts. */
export type LoggerMetrics = ReturnType<typeof createLoggerMetrics>;

/** What the ledger tells when the metrics are read. */
export interface Ledgered {
  parked: () => { reason: string; count: number }[];
  oldestWaiting: () => number;
}
const NOTHING: Ledgered = { parked: () => [], oldestWaiting: () => NaN };

/** Creates the logger's metrics in its registry; `directory` is the audit log's. */
export function createLoggerMetrics(
  registry: Registry,
  directory: string,
  { parked, oldestWaiting } = NOTHING,
) {
  const { counter, gauge, histogram, sampled } = meter(registry, HELP);
  sampled("posthorn_audit_disk_free_bytes", async (gauge) => {
    gauge.set(await freeBytes(directory));
  });
  sampled(
    "posthorn_parked_deliveries",
    (gauge) => {
      gauge.reset();
      for (const { reason, count } of parked()) gauge.set({ reason }, count);
    },
    "reason",
  );
  sampled("posthorn_oldest_waiting_seconds", (gauge) => {
    gauge.set(oldestWaiting());
  });
  return {
    lines: counter("posthorn_audit_lines_total", "kind"),
    syncSeconds: histogram("posthorn_audit_sync_duration_seconds", SYNC_BUCKETS),
    writeErrors: counter("posthorn_audit_write_errors_total", "code"),
    duplicatesSkipped: counter("posthorn_audit_duplicates_skipped_total"),
    ledgerBroken: gauge("posthorn_ledger_broken"),
    unreadable: counter("posthorn_logger_unreadable_total", "code"),
  };
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory).catch(() => ({ bavail: NaN, bsize: 1 }));
  return bavail * bsize;
}
