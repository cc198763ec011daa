import type { LedgerEvent } from "./store.ts";

/** Consecutive lines of an audit file, without those that cannot be read. */
export interface Part {
  events: readonly LedgerEvent[];
  /** The offset behind the last line, in bytes. */
  to: number;
}

/** The audit log as the ledger reads it. */
export interface AuditFiles {
  /** The files, oldest first, with their sizes in bytes. */
  files: () => Promise<readonly { name: string; size: number }[]>;
  /** The whole lines of a file from an offset on. */
  read: (name: string, from: number) => AsyncIterable<Part>;
  /** The id of the event whose line ends at an offset; undefined if no line ends there. */
  eventBefore: (name: string, offset: number) => Promise<string | undefined>;
}
