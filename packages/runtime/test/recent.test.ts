import { describe, expect, it } from "@jest/globals";
import { createRecent } from "../src/recent.ts";

function setUp(limit = 10) {
  const repeats = { count: 0 };
  const recent = createRecent<string>(limit, () => {
    repeats.count++;
  });
  return { recent, repeats };
}

/** Work that may be done once. */
const once = (result: string) => {
  let done = 0;
  return () => Promise.resolve(++done === 1 ? result : "done again");
};

describe("createRecent", () => {
  it("does a thing once and gives its result again", async () => {
    const { recent, repeats } = setUp();
    const work = once("ack");

    expect(await recent.once("a", work)).toBe("ack");
    expect(await recent.once("a", work)).toBe("ack");
    expect(repeats.count).toBe(1);
  });

  it("does different things each", async () => {
    const { recent, repeats } = setUp();

    expect(await recent.once("a", once("ack"))).toBe("ack");
    expect(await recent.once("b", once("reject"))).toBe("reject");
    expect(repeats.count).toBe(0);
  });

  it("waits for the same thing that is under way", async () => {
    const { recent, repeats } = setUp();
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = recent.once("a", () => promise);
    const second = recent.once("a", once("done twice"));

    resolve("ack");

    expect(await Promise.all([first, second])).toStrictEqual(["ack", "ack"]);
    expect(repeats.count).toBe(1);
  });

  it("does again what failed, by one of those who waited", async () => {
    const { recent } = setUp();
    const { promise, reject } = Promise.withResolvers<string>();
    const first = recent.once("a", () => promise);
    const work = once("ack");
    const others = [recent.once("a", work), recent.once("a", work)];

    reject(new Error("no"));

    await expect(first).rejects.toThrow("no");
    expect(await Promise.all(others)).toStrictEqual(["ack", "ack"]);
  });

  it("forgets the oldest beyond its limit", async () => {
    const { recent } = setUp(2);
    for (const key of ["a", "b", "c"]) await recent.once(key, once(key));

    expect(await recent.once("a", once("a again"))).toBe("a again");
    expect(await recent.once("c", once("c again"))).toBe("c");
  });
});

describe("Recent#add", () => {
  it("remembers what was done elsewhere", async () => {
    const { recent, repeats } = setUp();

    recent.add("a", "ack");

    expect(await recent.once("a", once("done again"))).toBe("ack");
    expect(repeats.count).toBe(1);
  });
});
