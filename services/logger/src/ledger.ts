import { rmSync } from "node:fs";
import { join } from "node:path";
import type { SQLInputValue } from "node:sqlite";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { describe, TransientError, type Check, type Component, type Log } from "@wellsent/runtime";
import type { Answer } from "@wellsent/contract";
import type { AuditLine } from "./audit/line.ts";
import type { AuditConfig } from "./config.ts";
import { ADD, EXPIRE, LAST_EVENT, openLedgerFile, SCHEMA_VERSION } from "./ledger-file.ts";
import type { LedgerFile } from "./ledger-file.ts";
import type { LoggerMetrics } from "./metrics.ts";

/** The ledger's file in the audit log's directory. */
export const LEDGER_FILE = "ledger.sqlite";

const DAY_MS = 86_400_000;
const RETRY_MS = 5_000;

/** Options of {@link Ledger}. */
export interface LedgerOptions extends Pick<AuditConfig, "directory" | "retentionDays"> {
  /** Everything in the audit log, a part at a time, to build the ledger from. */
  lines: () => AsyncIterable<readonly AuditLine[]>;
  metrics: Pick<LoggerMetrics, "ledgerBroken">;
  log: Log;
}

/**
 * What is known of every email and delivery, in SQLite beside the audit log, from which it is built anew whenever it is
 * missing, damaged or of another version. Its troubles never stop the audit log.
 */
export class Ledger implements Component {
  readonly name = "ledger";
  readonly #options: LedgerOptions;
  readonly #path: string;
  readonly #ending = new AbortController();
  #file: LedgerFile | undefined;
  #whole = false;
  #building: Promise<void> | undefined;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#path = join(options.directory, LEDGER_FILE);
  }

  /** Names a ledger that is broken or being built, without making the service unready. */
  readonly check: Check = () =>
    this.#whole ? undefined : { reason: "ledger: being built from the audit log", blocks: false };

  start(): void {
    try {
      this.#file = openLedgerFile(this.#path);
      const [version] = this.#file.rows("PRAGMA user_version");
      if (version?.["user_version"] === SCHEMA_VERSION) this.#setWhole(true);
      else this.rebuild();
    } catch (error) {
      this.#broke(error);
    }
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#building;
    this.#close();
  }

  /**
   * Takes lines that stand in the audit log, in any order and however often.
   * @throws {TransientError} ENOSPC, EROFS: nothing is wrong with the ledger, its disk must be waited for
   */
  add(lines: readonly AuditLine[]): void {
    try {
      this.#file?.run(this.#toAdd(lines));
    } catch (error) {
      if (error instanceof TransientError) throw error;
      this.#broke(error);
    }
  }

  /** What is known of a delivery, even while that is not `whole`. */
  answer(delivery: string): Answer {
    const [row] = this.#select(LAST_EVENT, delivery);
    const last = (row?.["kind"] ?? null) as Answer["last"];
    const possibleDuplicate = row?.["possible_duplicate"] === 1;
    return { delivery, whole: this.#whole, last, possibleDuplicate };
  }

  /** The rows of a query. @throws {TransientError} LEDGER_BROKEN */
  rows(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    const rows = this.#select(sql, ...values);
    // n.b. afterwards: by asking it may have been found broken.
    this.assertWhole();
    return rows;
  }

  /** @throws {TransientError} LEDGER_BROKEN: a part of the record would be taken for all of it */
  assertWhole(): void {
    if (!this.#whole) throw new TransientError("LEDGER_BROKEN", "The ledger is being built");
  }

  /** Forgets everything and builds it from the audit log; meanwhile it takes new lines and gives no rows. */
  rebuild(): void {
    this.#setWhole(false);
    this.#building ??= this.#insist().finally(() => (this.#building = undefined));
  }

  /** Nothing when it is found broken, and so not whole from now on. */
  #select(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    try {
      if (!this.#file) throw new Error("the ledger is closed");
      return this.#file.rows(sql, ...values);
    } catch (error) {
      this.#broke(error);
      return [];
    }
  }

  async #insist(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted && !this.#whole) {
      try {
        await this.#build();
      } catch (error) {
        this.#options.log.error("ledger not built, trying again", describe(error));
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #build(): Promise<void> {
    const { lines, log } = this.#options;
    this.#close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(this.#path + suffix, { force: true });
    const file = (this.#file = openLedgerFile(this.#path));
    let count = 0;
    for await (const some of lines()) {
      if (this.#ending.signal.aborted) return;
      file.run(this.#toAdd(some));
      count += some.length;
      await nextTurn();
    }
    file.rows(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    this.#setWhole(true);
    log.info("ledger built from the audit log", { lines: count });
  }

  #close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** The statements by which lines are added, and as much of what is too old is forgotten. */
  #toAdd(lines: readonly AuditLine[]) {
    const { retentionDays } = this.#options;
    const texts = lines.map((line) => JSON.stringify(line));
    const oldest = retentionDays === 0 ? 0 : Date.now() - retentionDays * DAY_MS;
    const expired = [oldestId(oldest), lines.length, new Date(oldest).toISOString()] as const;
    return [
      ...texts.flatMap((line) => ADD.map((sql) => [sql, line] as const)),
      ...EXPIRE.map((sql) => [sql, ...expired] as const),
    ];
  }

  #broke(error: unknown): void {
    if (this.#whole) this.#options.log.error("ledger broken, building it anew", describe(error));
    this.rebuild();
  }

  #setWhole(whole: boolean): void {
    this.#whole = whole;
    this.#options.metrics.ledgerBroken.set(whole ? 0 : 1);
  }
}

/** Below every email id made at that time or later, in milliseconds: the ids begin with their time (RFC 9562 §5.7). */
export function oldestId(time: number): string {
  const hex = Math.max(0, time).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
