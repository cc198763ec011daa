import { describe, expect, it } from "@jest/globals";
import { RecentEvents } from "../src/recent-events.ts";

describe("RecentEvents#once", () => {
  it("writes an event once, and lets the second wait for the first", async () => {
    let skipped = 0;
    const events = new RecentEvents(10, () => skipped++);
    const writing = Promise.withResolvers<undefined>();
    let stands = false;

    const first = events.once("a", () => writing.promise);
    const second = events
      .once("a", () => Promise.reject(new Error("written twice")))
      .then(() => (stands = true));
    await Promise.resolve();

    expect([stands, skipped]).toEqual([false, 1]);
    writing.resolve(undefined);
    await Promise.all([first, second]);
    expect(stands).toBe(true);
  });

  it("writes an event again when it was not written", async () => {
    const events = new RecentEvents(10, () => undefined);
    const written: string[] = [];

    await events.once("a", () => Promise.reject(new Error("lost"))).catch(() => undefined);
    await events.once("a", () => Promise.resolve(void written.push("a")));

    expect(written).toEqual(["a"]);
  });

  it("forgets the oldest beyond its limit", async () => {
    const events = new RecentEvents(2, () => undefined);
    const written: string[] = [];
    const write = (id: string) => events.once(id, () => Promise.resolve(void written.push(id)));

    for (const id of ["a", "b", "c"]) events.add(id);
    for (const id of ["c", "b", "a"]) await write(id);

    expect(written).toEqual(["a"]);
  });
});
