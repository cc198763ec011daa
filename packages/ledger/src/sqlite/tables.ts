import type { EventKind } from "@wellsent/contract";
import type {
  Batch,
  DeliveryRecord,
  EmailRecord,
  LedgerEvent,
  ParkedDelivery,
  ParkedFilter,
  ParkedPage,
  Position,
  Status,
} from "../store.ts";
import { DatabaseFile, removeDatabase, type Row } from "./file.ts";
import * as ask from "./queries.ts";
import { SCHEMA, SCHEMA_VERSION } from "./schema.ts";
import { FORGET_FILE, oldestId, statementsOf } from "./writes.ts";

/** The questions and changes of a ledger in SQLite. Every method blocks its thread until the disk has answered. */
export class Tables {
  readonly #path: string;
  #opened: DatabaseFile | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  open(): boolean {
    this.#opened ??= new DatabaseFile(this.#path, SCHEMA);
    const [version] = this.#file.rows("PRAGMA user_version");
    return version?.["user_version"] === SCHEMA_VERSION;
  }

  reset(): void {
    this.close();
    removeDatabase(this.#path);
    this.open();
  }

  close(): void {
    this.#opened?.close();
    this.#opened = undefined;
  }

  complete(): void {
    this.#file.rows(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }

  add(batch: Batch): void {
    this.#file.run(statementsOf(batch));
  }

  positions(): Position[] {
    return this.#file.rows(ask.POSITIONS).map((row) => ({ ...row }) as unknown as Position);
  }

  forgetFile(file: string): void {
    this.#file.run([[FORGET_FILE, file]]);
  }

  statusOf(delivery: string): Status {
    const [row] = this.#file.rows(ask.STATUS, delivery);
    return {
      last: (row?.["kind"] ?? null) as EventKind | null,
      time: (row?.["time"] ?? null) as string | null,
      possibleDuplicate: row?.["possible_duplicate"] === 1,
    };
  }

  emailOf(id: string): EmailRecord | undefined {
    const deliveries = this.#file
      .rows(ask.DELIVERIES, id)
      .map((row) => toDelivery(row) as DeliveryRecord);
    if (deliveries.length === 0) return undefined;
    const events = this.#file.rows(ask.EVENTS, id);
    const [email = { id }] = this.#file.rows(ask.EMAIL, id) as unknown as Pick<EmailRecord, "id">[];
    const lines = events.map(({ line }) => JSON.parse(String(line)) as LedgerEvent);
    return { ...email, deliveries, events: lines };
  }

  listParked(
    filter: ParkedFilter,
    [time, id]: readonly [time: string, id: string],
    limit: number,
  ): ParkedPage {
    const rows = this.#file.rows(ask.PARKED_PAGE, ...valuesOf(filter), time, id, limit);
    const [total] = this.#file.rows(ask.PARKED_COUNT, ...valuesOf(filter));
    return { parked: rows.map(toDelivery), total: Number(total?.["count"]) };
  }

  parkedIds(filter: ParkedFilter): string[] {
    return this.#file.rows(ask.PARKED_IDS, ...valuesOf(filter)).map(({ id }) => String(id));
  }

  countsByReason(): { reason: string; count: number }[] {
    return this.#file
      .rows(ask.BY_REASON)
      .map(({ reason, count }) => ({ reason: String(reason), count: Number(count) }));
  }

  oldestWaiting(): string | null {
    const [row] = this.#file.rows(ask.OLDEST_WAITING);
    return (row?.["time"] ?? null) as string | null;
  }

  deferralsOf(delivery: string): number {
    return Number(this.#file.rows(ask.DEFERRALS, delivery)[0]?.["count"]);
  }

  idEndingIn(end: string, from: number, to: number): string | null {
    const [row] = this.#file.rows(ask.ENDING_IN, oldestId(from), oldestId(to), end);
    return (row?.["id"] ?? null) as string | null;
  }

  hasEndedOf(from: number, to: number, before: number): boolean {
    const time = new Date(before).toISOString();
    return this.#file.rows(ask.ENDED, oldestId(from), oldestId(to), time).length > 0;
  }

  get #file(): DatabaseFile {
    if (!this.#opened) throw new Error("the ledger is closed");
    return this.#opened;
  }
}

function toDelivery(row: Row): ParkedDelivery {
  return { ...row, possibleDuplicate: row["possibleDuplicate"] === 1 } as unknown as ParkedDelivery;
}

function valuesOf({ reason, ending, before }: ParkedFilter) {
  return [reason ?? null, ending ?? null, before] as const;
}
