import { describe, expect, it } from "@jest/globals";
import { SingleFlight } from "../src/single-flight.ts";

function setUp(limit = 10) {
  const repeats = { count: 0 };
  const flight = new SingleFlight<string>(limit, () => {
    repeats.count += 1;
  });
  return { flight, repeats };
}

/** Work that returns another result if it runs twice. */
const workOnce = (result: string) => {
  let runs = 0;
  return () => {
    runs += 1;
    return Promise.resolve(runs === 1 ? result : "ran twice");
  };
};

describe("SingleFlight#runOnce", () => {
  it("runs work once, and returns its result again", async () => {
    const { flight, repeats } = setUp();
    const work = workOnce("ack");

    expect(await flight.runOnce("a", work)).toBe("ack");
    expect(await flight.runOnce("a", work)).toBe("ack");
    expect(repeats.count).toBe(1);
  });

  it("runs the work of different keys", async () => {
    const { flight, repeats } = setUp();

    expect(await flight.runOnce("a", workOnce("ack"))).toBe("ack");
    expect(await flight.runOnce("b", workOnce("reject"))).toBe("reject");
    expect(repeats.count).toBe(0);
  });

  it("waits for the work of the same key in flight", async () => {
    const { flight, repeats } = setUp();
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = flight.runOnce("a", () => promise);
    const second = flight.runOnce("a", workOnce("not run"));

    resolve("ack");

    expect(await Promise.all([first, second])).toStrictEqual(["ack", "ack"]);
    expect(repeats.count).toBe(1);
  });

  it("runs rejected work once more for all that waited", async () => {
    const { flight } = setUp();
    const { promise, reject } = Promise.withResolvers<string>();
    const first = flight.runOnce("a", () => promise);
    const work = workOnce("ack");
    const others = [flight.runOnce("a", work), flight.runOnce("a", work)];

    reject(new Error("no"));

    await expect(first).rejects.toThrow("no");
    expect(await Promise.all(others)).toStrictEqual(["ack", "ack"]);
  });

  it("forgets the oldest result beyond its limit", async () => {
    const { flight } = setUp(2);
    for (const key of ["a", "b", "c"]) await flight.runOnce(key, workOnce(key));

    expect(await flight.runOnce("a", workOnce("a again"))).toBe("a again");
    expect(await flight.runOnce("c", workOnce("c again"))).toBe("c");
  });
});

describe("SingleFlight#runOnce of work that is known to be new", () => {
  it("runs although a result is remembered, and replaces it", async () => {
    const { flight, repeats } = setUp();
    flight.add("a", "ack");

    expect(await flight.runOnce("a", workOnce("reject"), true)).toBe("reject");
    expect(await flight.runOnce("a", workOnce("not run"))).toBe("reject");
    expect(repeats.count).toBe(1);
  });
});

describe("SingleFlight#add", () => {
  it("remembers the result of work that ran elsewhere", async () => {
    const { flight, repeats } = setUp();

    flight.add("a", "ack");

    expect(await flight.runOnce("a", workOnce("not run"))).toBe("ack");
    expect(repeats.count).toBe(1);
  });
});
