import { describe, expect, it } from "@jest/globals";
import { BodyPool } from "../src/body-pool.ts";

const body = (waits: boolean) => {
  const made = { evicted: 0, waitsForClient: () => waits, evict: () => void (made.evicted += 1) };
  return made;
};

describe("BodyPool", () => {
  it("charges the bytes of bodies, and refuses bytes that do not fit", () => {
    const pool = new BodyPool(100);
    const [one, two] = [body(true), body(true)];

    expect([pool.resize(one, 40), pool.resize(one, 60), pool.resize(two, 40)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(pool.resize(two, 41)).toBe(false);
    expect(pool.bytes).toBe(100);
  });

  it("releases the bytes of a body once", () => {
    const pool = new BodyPool(100);
    const one = body(true);
    pool.resize(one, 100);

    pool.release(one);
    pool.release(one);

    expect(pool.bytes).toBe(0);
  });

  it("evicts the oldest bodies that wait for their clients, as few as possible", () => {
    const pool = new BodyPool(100, 0);
    const [working, oldest, newer, last] = [body(false), body(true), body(true), body(true)];
    for (const each of [working, oldest, newer]) pool.resize(each, 30);

    expect(pool.resize(last, 30)).toBe(true);

    expect([working, oldest, newer, last].map(({ evicted }) => evicted)).toEqual([0, 1, 0, 0]);
    expect(pool.bytes).toBe(90);
  });

  it("evicts no body that is younger than the grace time", () => {
    const pool = new BodyPool(100, 60_000);
    const young = body(true);
    pool.resize(young, 100);

    expect(pool.resize(body(true), 1)).toBe(false);
    expect(young.evicted).toBe(0);
  });

  it("never evicts a body to make room for itself", () => {
    const pool = new BodyPool(100, 0);
    const one = body(true);
    pool.resize(one, 50);

    expect(pool.resize(one, 101)).toBe(false);
    expect(one.evicted).toBe(0);
  });
});
