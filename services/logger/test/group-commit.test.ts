import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import type { LedgerEvent } from "@wellsent/ledger";
import type { AuditLine } from "../src/audit/line.ts";
import { GroupCommit, type Store } from "../src/audit/group-commit.ts";
import { line, testMetrics } from "./support.ts";
import { createFakeLog, waitFor } from "@wellsent/testing";

/** A store whose writes are settled by the test. */
function manualStore() {
  const writes: { events: string[]; succeed: () => void; fail: (code: string) => void }[] = [];
  const store: Store = {
    open: () => Promise.resolve(),
    write: (lines: readonly AuditLine[]) =>
      new Promise((resolve, reject) => {
        const fail = (code: string) => {
          reject(Object.assign(new Error(code), { code }));
        };
        const succeed = () => resolve({ file: "f", from: 0, to: 1, last: undefined });
        writes.push({ events: lines.map(({ eventId }) => eventId), succeed, fail });
      }),
  };
  const written = (count: number) => waitFor(`${count} writes`, () => writes.length === count);
  return { store, writes, written };
}

function setUp(store: Store) {
  const flowed: string[] = [];
  const flow = {
    pause: () => flowed.push("pause"),
    release: () => flowed.push("release"),
    resume: () => flowed.push("resume"),
  };
  const metrics = testMetrics();
  const log = createFakeLog();
  const known: string[] = [];
  const ledger = {
    add: (lines: readonly LedgerEvent[]) => {
      known.push(...lines.map(({ eventId }) => eventId));
      return Promise.resolve();
    },
  };
  const commit = new GroupCommit({ store, ledger, flow, metrics, log });
  const stood: string[] = [];
  const append = (event: string) => {
    commit.append(line(event), () => stood.push(event));
  };
  return { commit, append, stood, known, ledger, flowed, metrics, log };
}

describe("GroupCommit", () => {
  it("writes as one group what arrives while a write is under way, in order", async () => {
    const { store, writes, written } = manualStore();
    const { append, stood } = setUp(store);

    for (const event of ["a", "b"]) append(event);
    await written(1);
    for (const event of ["c", "d", "e"]) append(event);
    writes[0]?.succeed();
    await written(2);

    expect(writes.map(({ events }) => events)).toEqual([
      ["a", "b"],
      ["c", "d", "e"],
    ]);
    expect(stood).toEqual(["a", "b"]);
    writes[1]?.succeed();
    await waitFor("all stand", () => stood.length === 5);
    expect(stood).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("bounds the size of a group", async () => {
    const { store, writes, written } = manualStore();
    const { append } = setUp(store);

    for (let event = 0; event < 2_500; event++) append(String(event));
    await written(1);
    writes[0]?.succeed();
    await written(2);

    expect(writes.map(({ events }) => events.length)).toEqual([2_000, 500]);
  });

  it("says that nothing stands when a write fails, names the fault, and writes the same group again", async () => {
    const { store, writes, written } = manualStore();
    const { append, commit, stood, flowed, metrics } = setUp(store);

    append("a");
    await written(1);
    writes[0]?.fail("ENOSPC");
    await waitFor("the consumer is paused", () => flowed.length === 1);

    expect(commit.check()).toEqual({ reason: "audit log: ENOSPC", blocks: false });
    expect([stood, flowed]).toEqual([[], ["pause"]]);
    append("b");
    await written(2);
    expect(writes[1]?.events).toEqual(["a"]);
    writes[1]?.succeed();
    await written(3);
    expect(commit.check()).toBeUndefined();
    expect([stood, flowed]).toEqual([["a"], ["pause", "resume"]]);
    expect(await metrics.registry.metrics()).toMatch(/write_errors_total\{code="ENOSPC"\} 1\n/);
  });

  it("waits for the ledger's disk, and writes nothing twice meanwhile", async () => {
    const { store, writes, written } = manualStore();
    const { append, commit, stood, known, ledger } = setUp(store);
    const add = ledger.add;
    ledger.add = () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));

    append("a");
    await written(1);
    writes[0]?.succeed();
    await waitFor("the trouble", () => commit.check()?.reason === "audit log: ENOSPC");
    expect(stood).toEqual([]);
    ledger.add = add;
    await waitFor("it stands", () => stood.length === 1);

    expect([writes.length, known]).toEqual([1, ["a"]]);
  });

  it("gives back what is in flight once when the trouble lasts", async () => {
    const { store, writes, written } = manualStore();
    const { append, flowed } = setUp(store);

    append("a");
    for (let attempt = 0; attempt < 3; attempt++) {
      await written(attempt + 1);
      writes[attempt]?.fail("EIO");
    }
    await written(4);

    expect(flowed).toEqual(["pause", "release"]);
  });

  it("stops at once in the middle of a trouble", async () => {
    const { store, writes, written } = manualStore();
    const { append, commit, stood, flowed } = setUp(store);
    append("a");
    await written(1);
    writes[0]?.fail("EIO");
    await waitFor("the consumer is paused", () => flowed.length === 1);

    const before = writes.length;

    await commit.stop();
    await sleep(250);

    expect([writes.length, stood]).toEqual([before, []]);
  });

  it("waits at start for a disk that cannot be read, and can be stopped meanwhile", async () => {
    let opened = 0;
    const { store } = manualStore();
    const failing = () => {
      opened++;
      return Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
    };
    const { commit } = setUp({ ...store, open: failing });

    const starting = commit.start();
    await waitFor("it was tried twice", () => opened === 2);

    expect(commit.check()?.reason).toBe("audit log: EIO");
    await commit.stop();
    await expect(starting).resolves.toBeUndefined();
  });
});
