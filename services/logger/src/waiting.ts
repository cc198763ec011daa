import type { Ledger } from "./ledger.ts";

const OLDEST = "SELECT min(time) AS time FROM deliveries WHERE kind = 'email.accepted'";

/** Age in seconds of the oldest delivery that was never attempted; 0 without any, NaN while the ledger is broken. */
export function oldestWaiting(ledger: Ledger): number {
  try {
    const [row] = ledger.rows(OLDEST);
    const time = row?.["time"];
    return typeof time === "string" ? Math.max(0, Date.now() - Date.parse(time)) / 1_000 : 0;
  } catch {
    return NaN;
  }
}
