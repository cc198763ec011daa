import { statfs } from "node:fs/promises";
import { createHttpMetrics } from "@wellsent/http";
import { meter } from "@wellsent/runtime";
import type { Gauge, Registry } from "prom-client";
import type { Ledger } from "./ledger.ts";

const HELP = {
  wellsent_audit_disk_free_bytes: "Room on the audit log's disk; NaN where it cannot be told",
  wellsent_audit_lines_total: "Lines written to the audit log and synced, by kind of event",
  wellsent_audit_sync_duration_seconds: "Time to write one group of lines and sync it to disk",
  wellsent_audit_write_errors_total: "Failed reads and writes of the audit log, by error code",
  wellsent_ledger_broken: "1 while the ledger is missing, damaged or being built",
  wellsent_parked_deliveries: "Deliveries that rest parked, by reason; none without a ledger",
  wellsent_oldest_waiting_seconds: "Age of the oldest delivery not tried; NaN without a ledger",
  wellsent_logger_unreadable_total: "Messages that could not be read, by code",
};
const BY_REASON = `SELECT reason, count(*) AS count FROM deliveries WHERE kind = 'email.parked' GROUP BY reason`;
const OLDEST = "SELECT min(time) AS time FROM deliveries WHERE kind = 'email.accepted'";

/** What the logger counts. */
export type LoggerMetrics = ReturnType<typeof createLoggerMetrics>;

/** What is asked when the metrics are read. */
type Asked = Pick<Ledger, "rows">;
const NO_LEDGER: Asked = { rows: () => [] };

/** Creates the logger's metrics in its registry; `directory` is the audit log's. */
export function createLoggerMetrics(registry: Registry, directory: string, ledger = NO_LEDGER) {
  const { counter, gauge, histogram, sampled } = meter(registry, HELP);
  sampled("wellsent_audit_disk_free_bytes", async (gauge) => gauge.set(await freeBytes(directory)));
  sampled("wellsent_parked_deliveries", (gauge) => setParked(gauge, ledger), "reason");
  sampled("wellsent_oldest_waiting_seconds", (gauge) => gauge.set(oldestWaiting(ledger)));
  return {
    /** Of the internal port. */
    http: createHttpMetrics(registry),
    lines: counter("wellsent_audit_lines_total", "kind"),
    syncSeconds: histogram("wellsent_audit_sync_duration_seconds", [0.001, 0.01, 0.1, 1, 10]),
    writeErrors: counter("wellsent_audit_write_errors_total", "code"),
    ledgerBroken: gauge("wellsent_ledger_broken"),
    unreadable: counter("wellsent_logger_unreadable_total", "code"),
  };
}

function setParked(gauge: Gauge<"reason">, ledger: Asked): void {
  gauge.reset();
  for (const { reason, count } of ask(ledger, BY_REASON))
    gauge.set({ reason: String(reason) }, Number(count));
}

/** Age in seconds of the oldest delivery that was never attempted; 0 without any, NaN while the ledger is broken. */
export function oldestWaiting(ledger: Asked): number {
  const time = ask(ledger, OLDEST)[0]?.["time"];
  if (time === undefined) return NaN;
  return typeof time === "string" ? Math.max(0, Date.now() - Date.parse(time)) / 1_000 : 0;
}

function ask(ledger: Asked, sql: string): Record<string, unknown>[] {
  try {
    return ledger.rows(sql);
  } catch {
    return [];
  }
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory).catch(() => ({ bavail: NaN, bsize: 1 }));
  return bavail * bsize;
}
