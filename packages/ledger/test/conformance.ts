/* eslint-disable jest/no-export -- every store has a test file that calls this one */
import { describe, expect, it } from "@jest/globals";
import type { LedgerEvent, LedgerStore } from "@wellsent/ledger";

const EMAIL = "019ab000-0000-7000-8000-000000000001";
const DELIVERY = `${EMAIL}.0.0`;
const FILE = "audit-2026-11-23.001.jsonl";
const before = "9999-12-31T00:00:00.000Z";

/** An event of a delivery, so many seconds after noon. */
export function event(
  kind: LedgerEvent["kind"],
  second: number,
  more: Partial<LedgerEvent> = {},
): LedgerEvent {
  const time = new Date(Date.UTC(2026, 10, 23, 12, 0, second)).toISOString();
  const nothing = { subject: null, bytes: null, attempt: null, relay: null, reply: null };
  const id = more.delivery?.split(".")[0] ?? EMAIL;
  const defaults = { id, delivery: DELIVERY, recipient: "a@example.com", reason: null, tags: [] };
  const names = { eventId: `${kind}.${second}`, kind, time, possibleDuplicate: false };
  return { ...nothing, ...defaults, ...names, ...more };
}

/** What every store of the ledger must do; `open` makes an empty one. */
export function describeStore(name: string, open: () => Promise<LedgerStore>): void {
  const filled = async (...events: LedgerEvent[]) => {
    const store = await open();
    await store.add({ events, keptSince: 0 });
    return store;
  };

  describe(`${name}, as every store`, () => {
    it("knows nothing of a delivery without events", async () => {
      const store = await open();

      const status = { last: null, time: null, possibleDuplicate: false };
      expect(await store.statusOf(DELIVERY)).toEqual(status);
      expect(await store.emailOf(EMAIL)).toBeUndefined();
      expect(await store.oldestWaiting()).toBeNull();
    });

    it("counts deferred attempts, and each event once", async () => {
      const deferred = [event("email.deferred", 1), event("email.deferred", 2)];

      const store = await filled(...deferred, ...deferred);

      expect(await store.deferralsOf(DELIVERY)).toBe(2);
    });

    it("does not count a delivery that moved down the ladder untried", async () => {
      const refused = event("email.deferred", 1, { reason: "RELAY_REFUSES_ALL" });
      const untried = event("email.deferred", 2, { reason: "UNTRIED", possibleDuplicate: true });

      const store = await filled(refused, untried);

      expect(await store.deferralsOf(DELIVERY)).toBe(1);
      expect(await store.statusOf(DELIVERY)).toMatchObject({ possibleDuplicate: true });
    });

    it("finds the newest email of a period by the end of its id", async () => {
      const idAt = (hex: string, end: string) => `${hex}-7000-8000-${end}`;
      const ids = [
        idAt("00000000-1000", "00000000000a"),
        idAt("00000000-2000", "00000000000a"),
        idAt("00000000-2001", "00000000000b"),
        idAt("00000000-3000", "00000000000a"),
      ];
      const accepted = ids.map((id, second) =>
        event("email.accepted", second, { id, delivery: `${id}.0.0` }),
      );
      const store = await filled(...accepted);

      expect(await store.idEndingIn("8000-00000000000a", 0x1000, 0x3000)).toBe(ids[1]);
      expect(await store.idEndingIn("8000-00000000000a", 0x1000, 0x3001)).toBe(ids[3]);
      expect(await store.idEndingIn("8000-00000000000b", 0x1000, 0x2001)).toBeNull();
      expect(await store.idEndingIn("8000-00000000000c", 0, 0x4000)).toBeNull();
    });

    it("returns everything recorded of an email", async () => {
      const accepted = event("email.accepted", 0, { subject: "s", bytes: 3 });
      const sent = event("email.sent", 1, { attempt: 1, relay: "relay:25", reply: "250 ok" });

      const store = await filled(sent, accepted);

      expect(await store.emailOf(EMAIL)).toMatchObject({
        ...{ id: EMAIL, subject: "s", bytes: 3, events: [accepted, sent] },
        deliveries: [{ delivery: DELIVERY, kind: "email.sent", relay: "relay:25" }],
      });
    });

    it.each(["\u0085", "\u2028", "\u2029", "\r", "\0", "\ud800", "'", '"', "\\"])(
      "keeps an event with the character %j in its texts",
      async (char) => {
        const parked = event("email.parked", 0, { subject: `a${char}b`, reply: `550 ${char}` });

        const store = await filled(parked);

        expect((await store.emailOf(EMAIL))?.events).toEqual([parked]);
        expect((await store.listParked({ before }, ["", ""], 10)).total).toBe(1);
      },
    );

    it("lists parked deliveries by reason, recipient and age, in pages", async () => {
      const parked = [0, 1, 2].map((second) =>
        event("email.parked", second, {
          delivery: `${EMAIL}.${second}.0`,
          recipient: `a@${second === 1 ? "other" : "example"}.com`,
          reason: second === 2 ? "CRASHED" : "EXPIRED",
        }),
      );
      const store = await filled(...parked);
      const ids = (...which: number[]) => which.map((second) => `${EMAIL}.${second}.0`);

      expect(await store.parkedIds({ before })).toEqual(ids(0, 1, 2));
      expect(await store.parkedIds({ before, reason: "CRASHED" })).toEqual(ids(2));
      expect(await store.parkedIds({ before, ending: "@other.com" })).toEqual(ids(1));
      expect(await store.parkedIds({ before: parked[0]?.time ?? "" })).toEqual(ids(0));
      const first = await store.listParked({ before }, ["", ""], 2);
      expect(first).toMatchObject({ total: 3, parked: [{}, { delivery: ids(1)[0] }] });
      const after = [first.parked[1]?.time ?? "", first.parked[1]?.delivery ?? ""] as const;
      const rest = await store.listParked({ before }, after, 2);
      expect(rest.parked.map(({ delivery }) => delivery)).toEqual(ids(2));
      expect(await store.countsByReason()).toEqual([
        { reason: "CRASHED", count: 1 },
        { reason: "EXPIRED", count: 2 },
      ]);
    });

    it("advances a file's position over lines without a gap, and over no others", async () => {
      const store = await open();
      const add = (from: number, to: number) =>
        store.add({ events: [], span: { file: FILE, from, to, last: String(to) }, keptSince: 0 });
      const sizes = async () => (await store.positions()).map(({ size, last }) => [size, last]);

      await add(100, 200);
      expect(await sizes()).toEqual([]);
      await add(0, 100);
      await add(50, 150);
      await add(200, 300);
      await add(0, 10);
      expect(await sizes()).toEqual([[150, "150"]]);
      await store.forgetFile(FILE);
      expect(await sizes()).toEqual([]);
    });

    it("forgets old mail, but not what is parked", async () => {
      const store = await open();
      const old = [
        event("email.sent", 0),
        event("email.parked", 0, { delivery: `${EMAIL}.1.0`, eventId: "parked" }),
      ];

      await store.add({ events: old, keptSince: Date.UTC(2027, 0) });

      expect((await store.statusOf(DELIVERY)).last).toBeNull();
      expect((await store.statusOf(`${EMAIL}.1.0`)).last).toBe("email.parked");
    });

    it("is complete when that was recorded, and empty again after a reset", async () => {
      const store = await filled(event("email.sent", 0));

      expect(await store.open()).toBe(false);
      await store.complete();
      expect(await store.open()).toBe(true);
      await store.reset();
      expect(await store.open()).toBe(false);
      expect((await store.statusOf(DELIVERY)).last).toBeNull();
    });
  });
}
