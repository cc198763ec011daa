import { statfs } from "node:fs/promises";
import { createHttpMetrics } from "@wellsent/http";
import type { Ledger } from "@wellsent/ledger";
import { settlesWithin, meter } from "@wellsent/runtime";
import type { Gauge, Registry } from "prom-client";

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
/** How long a reader of the metrics waits for a disk that has stalled, in milliseconds. */
const PATIENCE_MS = 1_000;

/** What the logger counts. */
export type LoggerMetrics = ReturnType<typeof createLoggerMetrics>;

/** The questions that are asked when the metrics are read. */
type Asked = Pick<Ledger, "countsByReason" | "oldestWaiting">;
const NO_LEDGER: Asked = {
  countsByReason: () => Promise.resolve([]),
  oldestWaiting: () => Promise.resolve(null),
};

/** Creates the logger's metrics that are set as it works. */
export function createLoggerMetrics(registry: Registry) {
  const { counter, gauge, histogram } = meter(registry, HELP);
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

/** Creates the metrics that are asked for whenever they are read; `directory` is the audit log's. */
export function sampleRecord(
  registry: Registry,
  directory: string,
  ledger: Asked = NO_LEDGER,
): void {
  const { sampled } = meter(registry, HELP);
  const room = patient(() => freeBytes(directory), NaN);
  const parked = patient(() => ledger.countsByReason(), []);
  const waiting = patient(() => oldestWaiting(ledger), NaN);
  sampled("wellsent_audit_disk_free_bytes", async (gauge) => gauge.set(await room()));
  sampled(
    "wellsent_parked_deliveries",
    async (gauge) => setParked(gauge, await parked()),
    "reason",
  );
  sampled("wellsent_oldest_waiting_seconds", async (gauge) => gauge.set(await waiting()));
}

type Counts = Awaited<ReturnType<Asked["countsByReason"]>>;

function setParked(gauge: Gauge<"reason">, counts: Counts): void {
  gauge.reset();
  for (const { reason, count } of counts) gauge.set({ reason }, count);
}

/** Age in seconds of the oldest delivery that was never attempted; 0 without any, NaN while the ledger is broken. */
export async function oldestWaiting(ledger: Pick<Ledger, "oldestWaiting">): Promise<number> {
  const time = await ledger.oldestWaiting().catch(() => undefined);
  if (time === undefined) return NaN;
  return time === null ? 0 : Math.max(0, Date.now() - Date.parse(time)) / 1_000;
}

/** Asks once at a time, and gives the other answer if there is none in time: a stalled disk must not hold the metrics up. */
function patient<Answer>(ask: () => Promise<Answer>, otherwise: Answer): () => Promise<Answer> {
  let asking: Promise<void> | undefined;
  return async () => {
    let answer = otherwise;
    asking ??= ask()
      .then((given) => void (answer = given))
      .catch(() => undefined)
      .finally(() => (asking = undefined));
    await settlesWithin(PATIENCE_MS, asking);
    return answer;
  };
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory).catch(() => ({ bavail: NaN, bsize: 1 }));
  return bavail * bsize;
}
