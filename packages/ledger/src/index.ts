export { Ledger, type LedgerOptions } from "./ledger.ts";
export type { AuditFiles, Part } from "./audit-files.ts";
export type { EmailRecord, LedgerEvent, LedgerStore, Span } from "./store.ts";
export type { ParkedDelivery, ParkedFilter, ParkedPage, Status } from "./store.ts";
export { takeFileLock, type FileLock } from "./sqlite/file-lock.ts";
export { LEDGER_FILE, SqliteStore } from "./sqlite/store.ts";
