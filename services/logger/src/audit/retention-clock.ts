import { randomUUID } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { uptime as systemUptime } from "node:os";
import { join } from "node:path";
import { describe, type Check, type Component, type Log } from "@wellsent/runtime";
import * as z from "zod";
import { MODE } from "./file.ts";

/** The clock's file in the audit log's directory. */
export const RETENTION_FILE = "retention.json";

const DAY_MS = 86_400_000;
const TICK_MS = 600_000;
/** How many times faster than the machine's running time the clock may catch up after an outage. */
const CATCH_UP = 10;
/** No clock that is right shows an earlier time; some machines start in 1970. */
const EARLIEST = Date.UTC(2026, 0, 1);
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

const stateSchema = z.object({ time: z.number(), boot: z.string(), uptime: z.number() });
type State = z.output<typeof stateSchema>;

/** What the clock of the retention needs. */
export interface RetentionClockOptions {
  directory: string;
  /** The newest time that the audit log is evidence of, in milliseconds since the epoch. */
  newestDay: () => Promise<number | undefined>;
  /** Called every ten minutes, and at start. */
  onTick: () => Promise<void>;
  log: Log;
  /** The system's clock, in milliseconds since the epoch. */
  now?: () => number;
  /** Seconds since the machine was started; no change of the system's clock changes it. */
  uptime?: () => number;
}

/**
 * The time by which records are too old to keep. One wrong reading of the system's clock must not delete the record, so this
 * clock is never ahead of the system's, and it advances at most ten times as fast as the machine has been running. It is kept
 * over restarts. After an outage it is behind for a while, which deletes later, never sooner.
 */
export class RetentionClock implements Component {
  readonly name = "retention clock";
  readonly #options: Required<RetentionClockOptions>;
  #state: State | undefined;
  #boot = "";
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;

  constructor(options: RetentionClockOptions) {
    this.#options = { now: Date.now, uptime: systemUptime, ...options };
  }

  /** Names a system clock that is more than a day ahead, without making the service unready. */
  readonly check: Check = () => {
    const days = Math.floor((this.#options.now() - this.now()) / DAY_MS);
    if (!this.#state || days < 1) return undefined;
    return {
      reason: `retention: the clock is ${days} days ahead of the time seen to pass`,
      blocks: false,
    };
  };

  /** Milliseconds since the epoch; 0 as long as the time seen to pass is not known. */
  now(): number {
    this.#advance();
    return Math.min(this.#state?.time ?? 0, this.#options.now());
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), TICK_MS);
    void this.tick();
  }

  /** n.b. it waits for no disk: what was not written is made up for from the machine's running time. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Reads the state if it is not known, keeps it, and has old files deleted. */
  tick(): Promise<void> {
    const tick = async () => {
      this.#state ??= await this.#load();
      this.#advance();
      await this.#save();
      await this.#options.onTick();
    };
    const ticking = () =>
      tick().catch((error: unknown) =>
        this.#options.log.warn("retention clock not kept, trying again", describe(error)),
      );
    return (this.#ticking ??= ticking().finally(() => (this.#ticking = undefined)));
  }

  #advance(): void {
    if (!this.#state) return;
    const { time, boot, uptime } = this.#state;
    const now = this.#options.uptime();
    const ranMs = boot === this.#boot ? Math.max(0, now - uptime) * 1_000 : 0;
    const reached = Math.min(time + CATCH_UP * ranMs, this.#options.now());
    this.#state = { time: Math.max(time, reached), boot: this.#boot, uptime: now };
  }

  async #load(): Promise<State | undefined> {
    this.#boot ||= (await readFile(BOOT_ID, "utf8").catch(() => randomUUID())).trim();
    const text = await readFile(this.#path, "utf8").catch(unlessMissing);
    const kept = stateSchema.safeParse(parseJson(text ?? "")).data;
    const { now, newestDay, uptime } = this.#options;
    if (kept) return kept;
    const time = Math.min((await newestDay()) ?? Infinity, now());
    return time < EARLIEST ? undefined : { time, boot: this.#boot, uptime: uptime() };
  }

  async #save(): Promise<void> {
    if (!this.#state) return;
    const text = `${JSON.stringify(this.#state)}\n`;
    await writeFile(`${this.#path}.new`, text, { mode: MODE, flush: true });
    await rename(`${this.#path}.new`, this.#path);
  }

  get #path(): string {
    return join(this.#options.directory, RETENTION_FILE);
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
