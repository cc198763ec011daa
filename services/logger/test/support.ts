import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "@jest/globals";
import { Ledger, SqliteStore, type LedgerOptions } from "@wellsent/ledger";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { Registry } from "prom-client";
import { AuditLog, type AuditLogOptions } from "../src/audit/log.ts";
import { toLine, type AuditLine } from "../src/audit/line.ts";
import { createLoggerMetrics, sampleRecord } from "../src/metrics.ts";

export const EMAIL_ID = "019ab000-0000-7000-8000-000000000001";
/** The time in {@link EMAIL_ID}. */
export const EMAIL_TIME = "2025-11-23T09:16:21.376Z";

const ledgers: Ledger[] = [];
const directories: string[] = [];
afterEach(async () => {
  for (const ledger of ledgers.splice(0)) await ledger.stop();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A directory that is removed after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "wellsent-logger-"));
  directories.push(directory);
  return directory;
}

/** The logger's metrics in a registry of their own. */
export function testMetrics(directory = tmpdir(), ledger?: Parameters<typeof sampleRecord>[2]) {
  const registry = new Registry();
  sampleRecord(registry, directory, ledger);
  return { registry, ...createLoggerMetrics(registry) };
}

/** A ledger over an audit log, whole once it has started; it is stopped after the test. */
export async function startLedger(files: AuditLog, options: Partial<LedgerOptions> = {}) {
  const directory = temporaryDirectory();
  const log = createFakeLog();
  const store = new SqliteStore(directory);
  await files.open();
  const defaults = { store, files, keptSince: () => 0, onWhole: () => undefined, log };
  const ledger = new Ledger({ ...defaults, ...options });
  ledgers.push(ledger);
  ledger.start();
  await waitFor("a whole ledger", () => ledger.check() === undefined);
  return { ledger, log };
}

/** The line of a sent email; `event` tells it from others. */
export function line(event: number | string): AuditLine {
  return toLine(String(event), {
    kind: "email.sent",
    delivery: `${EMAIL_ID}.0.0`,
    time: "2026-11-23T12:00:00.000Z",
    recipient: "a@example.com",
    attempt: 1,
    relay: "relay:25",
    reply: "250 ok",
    possibleDuplicate: false,
  });
}

/** An audit log with usual options. */
export function auditLog(directory: string, options: Partial<AuditLogOptions> = {}): AuditLog {
  return new AuditLog({
    directory,
    fileMaxBytes: 1_000_000,
    retentionDays: 90,
    isParked: () => Promise.resolve(false),
    forgetFile: () => Promise.resolve(),
    retentionNow: options.now ?? Date.now,
    seen: () => undefined,
    linesMax: 10_000,
    log: createFakeLog(),
    ...options,
  });
}

/** The audit files of a directory, by name. */
export function filesOf(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(".jsonl"))
    .sort();
}

/** The ids of all events in the audit files of a directory. Every line must be whole. */
export function eventsOf(directory: string): string[] {
  return filesOf(directory).flatMap((name) => {
    const text = readFileSync(join(directory, name), "utf8");
    if (text !== "" && !text.endsWith("\n")) throw new Error(`${name} ends in half a line`);
    return text
      .split("\n")
      .slice(0, -1)
      .map((each) => (JSON.parse(each) as AuditLine).eventId);
  });
}
