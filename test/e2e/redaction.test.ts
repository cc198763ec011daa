import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allReady, startSystem, type System } from "../support/system.ts";
import { waitFor } from "@wellsent/testing";

const SUBJECT = "Your secret offer, for you alone";
const SECRETS = /lovelace|horn\.example|nowhere\.example|secret offer|for you alone/i;
let system: System;
let keys: string;

beforeEach(async () => {
  keys = mkdtempSync(join(tmpdir(), "wellsent-key-"));
  writeFileSync(join(keys, "hash-key"), "a key of at least thirty-two characters\n");
  system = await startSystem({
    env: {
      AUDIT_RECIPIENTS: "hashed",
      AUDIT_SUBJECT: "omitted",
      AUDIT_HASH_KEY_FILE: join(keys, "hash-key"),
      MAX_ATTEMPTS: "2",
    },
    rule: (address) => {
      if (address.includes("gone")) {
        return [550, `5.1.1 <${address}>... no such user, subject "${SUBJECT}"`];
      }
      return address.includes("later")
        ? [451, `4.2.1 ${address.toUpperCase()} is busy`]
        : undefined;
    },
  });
  await allReady(system);
});

afterEach(async () => {
  await system.stop();
  rmSync(keys, { recursive: true });
});

describe("a logger with AUDIT_RECIPIENTS=hashed and AUDIT_SUBJECT=omitted", () => {
  it("leaves no address and no subject in any file or on stdout, and parked mail is found all the same", async () => {
    for (const name of ["lovelace.well", "lovelace.gone", "lovelace.later"]) {
      await system.send({ toaddr: `${name}@nowhere.example`, subject: SUBJECT, body: "." });
    }
    await system.audited("email.failed", 1);
    await system.audited("email.parked", 1);
    await system.internal("POST", "/ledger/rebuild");
    const found = await waitFor("the list", async () => {
      const { status, body } = await system.internal("GET", "/parked?domain=Nowhere.example");
      return status === 200 && body["total"] === 1 && body;
    });
    const elsewhere = await system.internal("GET", "/parked?domain=else.example");
    await system.internal("POST", "/parked/replay", { filter: { domain: "nowhere.example" } });
    await system.audited("email.replayed", 1);

    expect(system.sink.taken.map(({ to }) => to)).toEqual(["lovelace.well@nowhere.example"]);
    expect(elsewhere.body["total"]).toBe(0);
    expect(JSON.stringify(found)).not.toMatch(SECRETS);
    for (const [name, text] of everything()) {
      expect([name, SECRETS.exec(text)]).toEqual([name, null]);
    }
  });
});

/** Every file of the audit log's directory, the ledger's too, and what each process printed. */
function everything(): [string, string][] {
  const files = readdirSync(system.auditDir).map((name): [string, string] => [
    name,
    readFileSync(join(system.auditDir, name), "latin1"),
  ]);
  const printed = Object.entries(system.services).map(([name, service]): [string, string] => [
    name,
    service.output(),
  ]);
  return [...files, ...printed];
}
