import type { EventKind } from "@wellsent/contract";

/** What the ledger reads of one line of the audit log: one event of one delivery. */
export interface LedgerEvent {
  /** The same for every copy of the event. */
  eventId: string;
  /** The email's id. */
  id: string;
  delivery: string;
  kind: EventKind;
  /** When it happened: UTC, ISO 8601 with milliseconds. */
  time: string;
  recipient: string | null;
  subject: string | null;
  /** Size of the text in bytes of UTF-8. */
  bytes: number | null;
  tags: readonly string[];
  /** 1 for the first; null for acceptance. */
  attempt: number | null;
  relay: string | null;
  reply: string | null;
  reason: string | null;
  possibleDuplicate: boolean;
}

/** Where lines are stored in the audit log. */
export interface Span {
  file: string;
  /** Offsets in bytes: of the first line, and behind the last one. */
  from: number;
  to: number;
  /** The id of the last line's event; undefined where no line could be read. */
  last: string | undefined;
}

/** Up to where the ledger has every line of an audit file. */
export interface Position {
  file: string;
  size: number;
  last: string | null;
}

/** The state of a delivery. */
export interface Status {
  /** Its decisive event so far; null if nothing is known. */
  last: EventKind | null;
  /** When that happened: UTC, ISO 8601. */
  time: string | null;
  /** A relay may have accepted it before. */
  possibleDuplicate: boolean;
}

/** A delivery with its decisive event. */
export interface DeliveryRecord extends ParkedDelivery {
  kind: EventKind;
}

/** Everything recorded of an email. The first three are absent if its acceptance is not recorded. */
export interface EmailRecord {
  id: string;
  time?: string;
  subject?: string | null;
  bytes?: number | null;
  deliveries: DeliveryRecord[];
  events: LedgerEvent[];
}

/** A parked delivery. */
export interface ParkedDelivery {
  delivery: string;
  recipient: string | null;
  /** A stable code, such as `SENDER_REFUSED`. */
  reason: string | null;
  reply: string | null;
  attempt: number | null;
  relay: string | null;
  time: string;
  possibleDuplicate: boolean;
}

/** Which parked deliveries; an absent member selects all. */
export interface ParkedFilter {
  reason?: string | undefined;
  /** How the recipient ends as it is stored, such as `@example.com`. */
  ending?: string | undefined;
  /** Parked at this time or earlier: ISO 8601. */
  before: string;
}

/** A page of the list of parked deliveries. */
export interface ParkedPage {
  parked: ParkedDelivery[];
  /** Of all pages. */
  total: number;
}

/** Events to add, all or none. */
export interface Batch {
  events: readonly LedgerEvent[];
  /** Absent for events that are not from the audit log. */
  span?: Span | undefined;
  /** Mail accepted before and not heard of since is forgotten, unless it is parked: milliseconds since the epoch, 0 for never. */
  keptSince: number;
}

/**
 * Stores what is known of every email and delivery. A store answers what it has; whether that is everything is the business of
 * {@link Ledger}. Every method may reject; ENOSPC and EROFS mean that the disk must be waited for.
 */
export interface LedgerStore {
  /** Opens the store or makes it. Resolves to whether it has been completed in this version. */
  open(): Promise<boolean>;
  /** Empties the store and opens it. */
  reset(): Promise<void>;
  close(): Promise<void>;
  /** Records that the store has every line up to its positions. */
  complete(): Promise<void>;
  /** Adds events in any order; events that it has are ignored. The position of the span's file advances if it has no gap. */
  add(batch: Batch): Promise<void>;
  positions(): Promise<Position[]>;
  /** Removes a file's position, so that the file is read again if it still exists at the next start. */
  forgetFile(file: string): Promise<void>;
  statusOf(delivery: string): Promise<Status>;
  /** Undefined if nothing is recorded. */
  emailOf(id: string): Promise<EmailRecord | undefined>;
  /** Deliveries behind a place in the order of time and id, oldest first, at most `limit`. */
  listParked(
    filter: ParkedFilter,
    after: readonly [time: string, id: string],
    limit: number,
  ): Promise<ParkedPage>;
  /** The ids of parked deliveries. */
  parkedIds(filter: ParkedFilter): Promise<string[]>;
  /** Numbers of parked deliveries by reason. */
  countsByReason(): Promise<{ reason: string; count: number }[]>;
  /** When the oldest delivery without an attempt was accepted: ISO 8601; null if there is none. */
  oldestWaiting(): Promise<string | null>;
  /** How many attempts of a delivery were deferred. An `UNTRIED` deferral was no attempt. */
  deferralsOf(delivery: string): Promise<number>;
  /** The newest email accepted within a period (milliseconds since the epoch) whose id has this end; null if there is none. */
  idEndingIn(end: string, from: number, to: number): Promise<string | null>;
  /** Whether a delivery accepted within a period (milliseconds since the epoch) had its decisive event before a time. */
  hasEndedOf(from: number, to: number, before: number): Promise<boolean>;
}
