import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { LEDGER_FILE, SqliteStore } from "@wellsent/ledger";
import { describeStore, event } from "./conformance.ts";

const stores: [SqliteStore, string][] = [];
afterEach(async () => {
  for (const [store, directory] of stores.splice(0)) {
    await store.close();
    rmSync(directory, { recursive: true });
  }
});

async function open() {
  const directory = mkdtempSync(join(tmpdir(), "wellsent-ledger-"));
  const store = new SqliteStore(directory);
  stores.push([store, directory]);
  await store.open();
  return { store, directory };
}

describeStore("SqliteStore", async () => (await open()).store);

describe("the files of a ledger in SQLite", () => {
  it("are readable for the group and for nobody else, whatever the umask", async () => {
    const before = process.umask(0);
    try {
      const { store, directory } = await open();
      await store.add({ events: [event("email.sent", 0)], keptSince: 0 });

      for (const suffix of ["", "-wal", "-shm"]) {
        expect(statSync(join(directory, LEDGER_FILE + suffix)).mode & 0o777).toBe(0o640);
      }
    } finally {
      process.umask(before);
    }
  });
});
