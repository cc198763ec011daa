import { join } from "node:path";
import type { LedgerStore } from "../store.ts";
import { DiskThread } from "./disk-thread.ts";

/** The ledger's file in the audit log's directory. */
export const LEDGER_FILE = "ledger.sqlite";

type Method = keyof LedgerStore;
type Given<Name extends Method> = Parameters<LedgerStore[Name]>;
type Result<Name extends Method> = ReturnType<LedgerStore[Name]>;

/** A ledger in SQLite, in a thread of its own. */
export class SqliteStore implements LedgerStore {
  readonly #thread: DiskThread;

  constructor(directory: string) {
    this.#thread = new DiskThread(join(directory, LEDGER_FILE));
  }

  readonly open = () => this.#call("open");
  readonly reset = () => this.#call("reset");
  readonly complete = () => this.#call("complete");
  readonly positions = () => this.#call("positions");
  readonly countsByReason = () => this.#call("countsByReason");
  readonly oldestWaiting = () => this.#call("oldestWaiting");
  readonly add = (...given: Given<"add">) => this.#call("add", ...given);
  readonly forgetFile = (...given: Given<"forgetFile">) => this.#call("forgetFile", ...given);
  readonly statusOf = (...given: Given<"statusOf">) => this.#call("statusOf", ...given);
  readonly emailOf = (...given: Given<"emailOf">) => this.#call("emailOf", ...given);
  readonly listParked = (...given: Given<"listParked">) => this.#call("listParked", ...given);
  readonly parkedIds = (...given: Given<"parkedIds">) => this.#call("parkedIds", ...given);
  readonly deferralsOf = (...given: Given<"deferralsOf">) => this.#call("deferralsOf", ...given);
  readonly idEndingIn = (...given: Given<"idEndingIn">) => this.#call("idEndingIn", ...given);
  readonly hasEndedOf = (...given: Given<"hasEndedOf">) => this.#call("hasEndedOf", ...given);

  async close(): Promise<void> {
    await this.#call("close");
    await this.#thread.end();
  }

  #call<Name extends Method>(name: Name, ...given: Given<Name>): Result<Name> {
    return this.#thread.call(name, given) as Result<Name>;
  }
}
