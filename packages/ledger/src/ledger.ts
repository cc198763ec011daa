import { setTimeout as sleep } from "node:timers/promises";
import {
  codeOf,
  describe,
  settlesWithin,
  TransientError,
  type Check,
  type Component,
  type Log,
} from "@wellsent/runtime";
import type { AuditFiles } from "./audit-files.ts";
import type { LedgerEvent, LedgerStore, ParkedFilter, Position, Span, Status } from "./store.ts";

/** Between attempts to build a ledger that cannot be built, in milliseconds. */
const RETRY_MS = 5_000;
/** Codes of a disk that must be waited for: nothing is wrong with the ledger. */
const DISK_TROUBLES = ["ENOSPC", "EROFS"];
/** Lines are written while others are read, so a pass may end behind a gap; the next one closes it. */
const PASSES_MAX = 10;

/** Options of the ledger. */
export interface LedgerOptions {
  store: LedgerStore;
  /** The audit log, which the ledger is built from. */
  files: AuditFiles;
  /** Mail accepted before this time is forgotten: milliseconds since the epoch, 0 for never. */
  keptSince: () => number;
  /** Called with true when the ledger has everything that the audit log has, and with false when it no longer does. */
  onWhole: (whole: boolean) => void;
  log: Log;
}

/**
 * Knows what the audit log records of every email and delivery. A failure of the ledger never stops the audit log.
 *
 * | state      | event                                             | next       |
 * | ---------- | ------------------------------------------------- | ---------- |
 * | stopped    | start; the positions match the audit files        | catching up |
 * | stopped    | start; no ledger, another version, no match       | rebuilding |
 * | catching up, rebuilding | every line of the audit files is read | whole      |
 * | catching up, whole | a call fails, or `rebuild`                | rebuilding |
 */
export class Ledger implements Component {
  readonly name = "ledger";
  readonly #options: LedgerOptions;
  readonly #ending = new AbortController();
  #whole = false;
  #building: Promise<void> | undefined;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Names a ledger that is not whole, without making the service unready. */
  readonly check: Check = () =>
    this.#whole ? undefined : { reason: "ledger: being built from the audit log", blocks: false };

  /** Begins to catch up with the audit log, or to rebuild; the service does not wait for it. */
  start(): void {
    this.#setWhole(false);
    this.#begin(() => this.#catchUp());
  }

  /** Resolves when the ledger is whole or has stopped, or after a time in milliseconds. */
  async settled(ms: number): Promise<void> {
    await settlesWithin(ms, Promise.resolve(this.#building));
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#building;
    await this.#options.store.close().catch(() => undefined);
  }

  /**
   * Adds events that are in the audit log, in any order and any number of times.
   * @throws {TransientError} ENOSPC, EROFS: nothing is wrong with the ledger, its disk must be waited for
   */
  async add(events: readonly LedgerEvent[], span?: Span): Promise<void> {
    try {
      await this.#options.store.add({ events, span, keptSince: this.#options.keptSince() });
    } catch (error) {
      const code = codeOf(error);
      if (DISK_TROUBLES.includes(code)) {
        throw new TransientError(code, "The ledger cannot be written", { cause: error });
      }
      this.#broke(error);
    }
  }

  /** What is known of a delivery, even while the ledger is not whole. */
  async statusOf(delivery: string): Promise<Status & { whole: boolean }> {
    try {
      const status = await this.#options.store.statusOf(delivery);
      return { ...status, whole: this.#whole };
    } catch (error) {
      this.#broke(error);
      return { last: null, time: null, possibleDuplicate: false, whole: false };
    }
  }

  /** The state of a delivery, of which everything is known. @throws {TransientError} LEDGER_BROKEN */
  readonly wholeStatusOf = (delivery: string) => this.#ask((store) => store.statusOf(delivery));

  /** How many attempts of a delivery were deferred, as far as is known. */
  async deferralsOf(delivery: string): Promise<number> {
    try {
      return await this.#options.store.deferralsOf(delivery);
    } catch (error) {
      this.#broke(error);
      return 0;
    }
  }

  /** See {@link LedgerStore.idEndingIn}; as far as is known. */
  async idEndingIn(...given: Parameters<LedgerStore["idEndingIn"]>): Promise<string | null> {
    try {
      return await this.#options.store.idEndingIn(...given);
    } catch (error) {
      this.#broke(error);
      return null;
    }
  }

  /** Everything recorded of an email. @throws {TransientError} LEDGER_BROKEN */
  readonly emailOf = (id: string) => this.#ask((store) => store.emailOf(id));

  /** A page of parked deliveries. @throws {TransientError} LEDGER_BROKEN */
  readonly listParked = (...given: Parameters<LedgerStore["listParked"]>) =>
    this.#ask((store) => store.listParked(...given));

  /** The ids of parked deliveries. @throws {TransientError} LEDGER_BROKEN */
  readonly parkedIds = (filter: ParkedFilter) => this.#ask((store) => store.parkedIds(filter));

  /** Whether a delivery is parked. @throws {TransientError} LEDGER_BROKEN */
  readonly isParked = async (delivery: string) =>
    (await this.wholeStatusOf(delivery)).last === "email.parked";

  /** Numbers of parked deliveries by reason. @throws {TransientError} LEDGER_BROKEN */
  readonly countsByReason = () => this.#ask((store) => store.countsByReason());

  /** When the oldest delivery without an attempt was accepted. @throws {TransientError} LEDGER_BROKEN */
  readonly oldestWaiting = () => this.#ask((store) => store.oldestWaiting());

  /** See {@link LedgerStore.hasEndedOf}. @throws {TransientError} LEDGER_BROKEN */
  readonly hasEndedOf = (...given: Parameters<LedgerStore["hasEndedOf"]>) =>
    this.#ask((store) => store.hasEndedOf(...given));

  /** Tells the ledger, beforehand, that an audit file is about to be shortened or deleted. @throws {TransientError} LEDGER_BROKEN */
  readonly forgetFile = (file: string) => this.#ask((store) => store.forgetFile(file));

  /** @throws {TransientError} LEDGER_BROKEN: a part of the record would be taken for all of it */
  assertWhole(): void {
    if (!this.#whole) throw new TransientError("LEDGER_BROKEN", "The ledger is being built");
  }

  /** Forgets everything and reads the audit log again. Meanwhile it accepts events, and most questions are refused. */
  rebuild(): void {
    this.#setWhole(false);
    this.#begin(() => this.#build());
  }

  async #ask<Answer>(question: (store: LedgerStore) => Promise<Answer>): Promise<Answer> {
    this.assertWhole();
    try {
      const answer = await question(this.#options.store);
      // Meanwhile the ledger may have been found broken.
      this.assertWhole();
      return answer;
    } catch (error) {
      if (!(error instanceof TransientError)) this.#broke(error);
      throw new TransientError("LEDGER_BROKEN", "The ledger is being built", { cause: error });
    }
  }

  #begin(work: () => Promise<void>): void {
    this.#building ??= this.#insist(work).finally(() => (this.#building = undefined));
  }

  /** Works until the ledger is whole: after a failure it is built from nothing. */
  async #insist(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#ending;
    const { log } = this.#options;
    for (let next = work; !signal.aborted && !this.#whole; next = () => this.#build()) {
      try {
        await next();
      } catch (error) {
        log.error("ledger not built, trying again", describe(error));
        if (next !== work) await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Reads the lines that are behind the ledger's positions. */
  async #catchUp(): Promise<void> {
    const { store, log } = this.#options;
    const completed = await store.open();
    const hole = completed ? await this.#hole() : "no complete ledger of this version";
    if (hole !== undefined) {
      log.warn("ledger does not match the audit log, building it again", { reason: hole });
      return this.#build();
    }
    const lines = await this.#readAll();
    if (lines > 0) log.info("ledger caught up with the audit log", { lines });
  }

  async #build(): Promise<void> {
    const { store, log } = this.#options;
    await store.reset();
    const lines = await this.#readAll();
    log.info("ledger built from the audit log", { lines });
  }

  /** Why the ledger's positions do not belong to this audit log; undefined if they do. */
  async #hole(): Promise<string | undefined> {
    const { store, files } = this.#options;
    const sizes = new Map((await files.files()).map(({ name, size }) => [name, size]));
    for (const { file, size, last } of await store.positions()) {
      const found = sizes.get(file);
      if (found === undefined) return `${file} is missing`;
      if (found < size) return `${file} is shorter than before`;
      const event = size === 0 ? undefined : await files.eventBefore(file, size);
      if (last !== null && event !== last) return `${file} is another file`;
    }
    return undefined;
  }

  /** Reads passes over the audit files, from the ledger's positions on, until nothing is behind. Resolves to the number of lines. */
  async #readAll(): Promise<number> {
    const { store } = this.#options;
    let count = 0;
    for (let pass = 0; pass < PASSES_MAX; pass++) {
      const read = await this.#readPass(await store.positions());
      count += read;
      if (this.#ending.signal.aborted) break;
      if (pass === 0) {
        await store.complete();
        this.#setWhole(true);
      }
      if (read === 0) break;
    }
    return count;
  }

  async #readPass(positions: readonly Position[]): Promise<number> {
    const { store, files, keptSince } = this.#options;
    const known = new Map(positions.map(({ file, size }) => [file, size]));
    let count = 0;
    for (const { name, size } of await files.files()) {
      let from = known.get(name) ?? 0;
      if (from >= size) continue;
      for await (const { events, to } of files.read(name, from)) {
        if (this.#ending.signal.aborted) return count;
        const last = events.at(-1)?.eventId;
        await store.add({ events, span: { file: name, from, to, last }, keptSince: keptSince() });
        count += events.length;
        from = to;
      }
    }
    return count;
  }

  #broke(error: unknown): void {
    if (this.#ending.signal.aborted) return;
    if (this.#whole) this.#options.log.error("ledger broken, building it anew", describe(error));
    this.rebuild();
  }

  #setWhole(whole: boolean): void {
    this.#whole = whole;
    this.#options.onWhole(whole);
  }
}
