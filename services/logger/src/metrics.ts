import { statfs } from "node:fs/promises";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What the logger counts. */
export type LoggerMetrics = ReturnType<typeof createLoggerMetrics>;

/** Creates the logger's metrics in its registry; `directory` is the audit log's. */
export function createLoggerMetrics(registry: Registry, directory: string) {
  const registers = [registry];
  new Gauge({
    name: "posthorn_audit_disk_free_bytes",
    help: "Room on the audit log's file system; NaN where it cannot be told",
    registers,
    async collect() {
      this.set(await freeBytes(directory));
    },
  });
  return {
    lines: new Counter({
      name: "posthorn_audit_lines_total",
      help: "Lines that were written to the audit log and synced, by kind of event",
      labelNames: ["kind"],
      registers,
    }),
    syncSeconds: new Histogram({
      name: "posthorn_audit_sync_duration_seconds",
      help: "Time to write one group of lines and sync it to disk",
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    writeErrors: new Counter({
      name: "posthorn_audit_write_errors_total",
      help: "Attempts to read or write the audit log that failed, by the system's error code",
      labelNames: ["code"],
      registers,
    }),
    duplicatesSkipped: new Counter({
      name: "posthorn_audit_duplicates_skipped_total",
      help: "Events that arrived again and already stood in the audit log",
      registers,
    }),
    unreadable: new Counter({
      name: "posthorn_logger_unreadable_total",
      help: "Messages that could not be read, by code",
      labelNames: ["code"],
      registers,
    }),
  };
}

async function freeBytes(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return NaN;
  }
}
