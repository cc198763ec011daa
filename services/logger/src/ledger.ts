import { closeSync, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { describe, TransientError, type Check, type Component, type Log } from "@posthorn/chassis";
import type { Answer } from "@posthorn/contract";
import type { AuditLine } from "./audit-line.ts";
import { ADD, EXPIRE, LAST_EVENT, SCHEMA, SCHEMA_VERSION } from "./ledger-schema.ts";
import type { LoggerMetrics } from "./metrics.ts";

/** The ledger's file in the audit log's directory. */
export const LEDGER_FILE = "ledger.sqlite";

const MAGIC = "SQLite format 3\0";
const DAY_MS = 86_400_000;
const RETRY_MS = 5_000;
/** SQLite's result codes 8, READONLY, and 13, FULL, as the system's own. */
const DISK_TROUBLES: Readonly<Record<number, string>> = { 8: "EROFS", 13: "ENOSPC" };

/** Options of {@link Ledger}. */
export interface LedgerOptions {
  directory: string;
  /** Emails accepted before are forgotten, what is parked excepted; 0 keeps all. */
  retentionDays: number;
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
  #database: DatabaseSync | undefined;
  #statements = new Map<string, StatementSync>();
  #inode = 0;
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
      this.#open();
      const { user_version: version } = this.#run("PRAGMA user_version").get() ?? {};
      if (version === SCHEMA_VERSION) this.#setWhole(true);
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
   * @throws {Error} ENOSPC, EROFS: nothing is wrong with the ledger, its disk must be waited for
   */
  add(lines: readonly AuditLine[]): void {
    try {
      if (this.#database) this.#insert(lines);
    } catch (error) {
      this.#throwIfOfDisk(error);
      this.#broke(error);
    }
  }

  /** What is known of a delivery, even while that is not `whole`. */
  answer(delivery: string): Answer {
    try {
      const [row] = this.#select(LAST_EVENT, delivery);
      const last = (row?.["kind"] ?? null) as Answer["last"];
      const possibleDuplicate = row?.["possible_duplicate"] === 1;
      return { delivery, whole: this.#whole, last, possibleDuplicate };
    } catch {
      return { delivery, whole: false, last: null, possibleDuplicate: false };
    }
  }

  /** The rows of a query. @throws {TransientError} LEDGER_BROKEN */
  rows(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    this.assertWhole();
    return this.#select(sql, ...values);
  }

  /** @throws {TransientError} LEDGER_BROKEN: a part of the record would be taken for all of it */
  assertWhole(): void {
    if (!this.#whole) throw broken();
  }

  /** Forgets everything and builds it from the audit log; meanwhile it takes new lines and gives no rows. */
  rebuild(): void {
    this.#setWhole(false);
    this.#building ??= this.#insist().finally(() => (this.#building = undefined));
  }

  #select(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    try {
      this.#assertIntact();
      return this.#run(sql).all(...values);
    } catch (error) {
      this.#broke(error);
      throw broken(error);
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
    this.#open();
    let count = 0;
    for await (const some of lines()) {
      if (this.#ending.signal.aborted) return;
      this.#insert(some);
      count += some.length;
      await nextTurn();
    }
    this.#run(`PRAGMA user_version = ${SCHEMA_VERSION}`).get();
    this.#setWhole(true);
    log.info("ledger built from the audit log", { lines: count });
  }

  #open(): void {
    this.#database = new DatabaseSync(this.#path);
    this.#database.exec(SCHEMA);
    this.#inode = this.#assertSqlite();
  }

  #close(): void {
    this.#statements.clear();
    this.#database?.close();
    this.#database = undefined;
  }

  #insert(lines: readonly AuditLine[]): void {
    this.#assertIntact();
    this.#database?.exec("BEGIN IMMEDIATE");
    for (const line of lines) for (const sql of ADD) this.#run(sql).run(JSON.stringify(line));
    const { retentionDays } = this.#options;
    const oldest = retentionDays === 0 ? 0 : Date.now() - retentionDays * DAY_MS;
    const expired = [oldestId(oldest), lines.length, new Date(oldest).toISOString()];
    for (const sql of EXPIRE) this.#run(sql).run(...expired);
    this.#database?.exec("COMMIT");
  }

  #run(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    if (!this.#database) throw new Error("the ledger is closed");
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** n.b. SQLite goes on with a file that was deleted, and with its cache of one that was overwritten. */
  #assertIntact(): void {
    if (this.#assertSqlite() !== this.#inode) throw new Error("the file was replaced");
  }

  #assertSqlite(): number {
    const file = openSync(this.#path, "r");
    try {
      const magic = Buffer.alloc(MAGIC.length);
      readSync(file, magic, 0, MAGIC.length, 0);
      if (magic.toString("latin1") !== MAGIC) throw new Error("the file is no database");
      return fstatSync(file).ino;
    } finally {
      closeSync(file);
    }
  }

  #throwIfOfDisk(cause: unknown): void {
    const code = DISK_TROUBLES[(cause as { errcode?: number }).errcode ?? 0];
    if (!code) return;
    if (this.#database?.isTransaction) this.#database.exec("ROLLBACK");
    throw Object.assign(new Error("The ledger cannot be written", { cause }), { code });
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

function broken(cause?: unknown): TransientError {
  return new TransientError("LEDGER_BROKEN", "The ledger is being built", { cause });
}

/** Below every email id made at that time or later, in milliseconds: the ids begin with their time (RFC 9562 §5.7). */
export function oldestId(time: number): string {
  const hex = Math.max(0, time).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
