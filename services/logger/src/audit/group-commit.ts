import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Ledger, Span } from "@wellsent/ledger";
import {
  codeOf,
  describe,
  type Check,
  type Component,
  type Fault,
  type Log,
} from "@wellsent/runtime";
import type { FlowControl } from "@wellsent/amqp";
import type { AuditLine } from "./line.ts";
import type { AuditLog } from "./log.ts";
import type { LoggerMetrics } from "../metrics.ts";

/** Bounds the buffer of one write to some megabytes; an email of 50 recipients is 50 lines. */
const LINES_MAX = 2_000;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 2_000;
/** With the longest pause between attempts, a disk in trouble is spoken of about twice a minute. */
const SAY_EVERY = 15;
/** The holder that pauses the flow. */
const HOLDER = "audit log";

/** Where lines are kept. What throws is done again, whole, until it succeeds. */
export type Store = Pick<AuditLog, "open" | "write">;

/** Options of {@link GroupCommit}. */
export interface GroupCommitOptions {
  store: Store;
  /** Told of what stands; it throws while its disk is in trouble. */
  ledger: Pick<Ledger, "add">;
  /** Paused while the disk is in trouble. */
  flow: Pick<FlowControl, "pause" | "release" | "resume">;
  metrics: Pick<LoggerMetrics, "lines" | "syncSeconds" | "writeErrors">;
  log: Log;
}

/**
 * Collects lines while a write is under way and writes them as one group. A disk in trouble stops the consumer, is named
 * in readiness and tried again until it is well: nothing is dropped, and nothing is said to stand that does not.
 */
export class GroupCommit implements Component {
  readonly name = "audit log";
  readonly #options: GroupCommitOptions;
  readonly #ending = new AbortController();
  #waiting: { line: AuditLine; stands: () => void }[] = [];
  #writing: Promise<void> | undefined;
  #fault: Fault | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Names a disk in trouble, without making the service unready. */
  readonly check: Check = () => this.#fault;

  async start(): Promise<void> {
    await this.#insist(() => this.#options.store.open());
  }

  /** n.b. the consumer has drained before: what still waits was given back to the broker. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#writing;
  }

  /** Takes a line, and calls `stands` when it is on disk. */
  readonly append = (line: AuditLine, stands: () => void): void => {
    this.#waiting.push({ line, stands });
    this.#writing ??= this.#writeAll();
  };

  async #writeAll(): Promise<void> {
    await nextTurn(); // The lines of one email arrive in one turn, and go together.
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, LINES_MAX);
      const lines = group.map(({ line }) => line);
      let span: Span | undefined;
      if (!(await this.#insist(async () => void (span = await this.#write(lines))))) break;
      // A separate retry: lines that are on disk must not be written again because the ledger's disk is full.
      if (!(await this.#insist(() => this.#options.ledger.add(lines, span)))) break;
      for (const { stands } of group) stands();
    }
    this.#writing = undefined;
  }

  async #write(lines: readonly AuditLine[]): Promise<Span> {
    const { store, metrics } = this.#options;
    const stop = metrics.syncSeconds.startTimer();
    const span = await store.write(lines);
    stop();
    for (const line of lines) metrics.lines.inc({ kind: line.kind });
    return span;
  }

  /** Works until it succeeds; resolves to false when the service ends before. */
  async #insist(work: () => Promise<void> | void): Promise<boolean> {
    const signal = this.#ending.signal;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await work();
        this.#recover();
        return true;
      } catch (error) {
        this.#suffer(error, attempt);
      }
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LAST_PAUSE_MS);
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  #suffer(error: unknown, attempt: number): void {
    const { flow, metrics, log } = this.#options;
    const code = codeOf(error);
    this.#fault = { reason: `audit log: ${code}`, blocks: false };
    metrics.writeErrors.inc({ code });
    if (attempt % SAY_EVERY === 1) {
      log.error("audit log in trouble, trying again", { attempt, ...describe(error) });
    }
    if (attempt === 1) flow.pause(HOLDER);
    // One failure may be a hiccup; a longer trouble must not keep hundreds of emails in memory.
    if (attempt === 2) flow.release();
  }

  #recover(): void {
    if (!this.#fault) return;
    this.#fault = undefined;
    this.#options.log.info("audit log works again");
    this.#options.flow.resume(HOLDER);
  }
}
