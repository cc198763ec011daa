import { describe, expect, it } from "@jest/globals";
import { seeded } from "@wellsent/testing";
import { attemptOf, crashesOf } from "../src/attempts.ts";

const died = (queue: string, reason: string, count = 1) => ({
  count,
  reason,
  queue,
  time: { "!": "timestamp", value: 1_795_455_448 },
  exchange: "emailer.retry",
  "routing-keys": [queue],
});

/** Headers that RabbitMQ 3.10.8 and 4.3.6 set in a message on a ladder of two rungs, as recorded. */
const LADDER = [
  { attempt: 1, queue: "emailer", old: [], now: [], count: undefined },
  {
    attempt: 2,
    queue: "emailer.attempt.1",
    old: [died("emailer.wait.1s", "expired"), died("emailer", "rejected")],
    now: [died("emailer.wait.1s", "expired"), died("emailer", "rejected")],
    count: 1,
  },
  {
    attempt: 3,
    queue: "emailer.attempt.2",
    old: [
      died("emailer.wait.2s", "expired"),
      died("emailer.wait.1s", "expired"),
      died("emailer", "rejected"),
      died("emailer.attempt.1", "rejected"),
    ],
    now: [
      died("emailer.wait.2s", "expired"),
      died("emailer.attempt.1", "rejected"),
      died("emailer.wait.1s", "expired"),
      died("emailer", "rejected"),
    ],
    count: 2,
  },
  {
    attempt: 4,
    queue: "emailer.attempt.2",
    old: [
      died("emailer.wait.2s", "expired", 2),
      died("emailer.wait.1s", "expired"),
      died("emailer", "rejected"),
      died("emailer.attempt.1", "rejected"),
      died("emailer.attempt.2", "rejected"),
    ],
    now: [
      died("emailer.wait.2s", "expired", 2),
      died("emailer.attempt.2", "rejected"),
      died("emailer.attempt.1", "rejected"),
      died("emailer.wait.1s", "expired"),
      died("emailer", "rejected"),
    ],
    count: 3,
  },
  {
    attempt: 27,
    queue: "emailer.attempt.2",
    old: [
      died("emailer.wait.2s", "expired", 25),
      died("emailer.wait.1s", "expired"),
      died("emailer", "rejected"),
      died("emailer.attempt.1", "rejected"),
      died("emailer.attempt.2", "rejected", 24),
    ],
    now: [
      died("emailer.wait.2s", "expired", 25),
      died("emailer.attempt.2", "rejected", 24),
      died("emailer.attempt.1", "rejected"),
      died("emailer.wait.1s", "expired"),
      died("emailer", "rejected"),
    ],
    count: 26,
  },
];

const ON_3_10 = LADDER.map(({ old, ...step }) => ({
  ...step,
  brokerVersion: "3.10.8",
  headers: { "x-delivery-count": 0, ...(old.length > 0 && { "x-death": old }) },
}));
const ON_4_3 = LADDER.map(({ now, count, ...step }) => ({
  ...step,
  brokerVersion: "4.3.6",
  headers: count === undefined ? {} : { "x-delivery-count": count, "x-death": now },
}));

/** Headers that any program can set: a broker delivers a message for the first time with the headers of its publisher. */
const FORGED = [
  ["text", "rejected"],
  ["an object", { count: 5 }],
  ["null in the list", [null]],
  ["text in the list", ["rejected"]],
  ["a list in the list", [[]]],
  ["a count that is text", [{ count: "many", reason: "rejected", queue: "emailer" }]],
  ["a count that is an object", [{ count: {}, reason: "rejected", queue: "emailer" }]],
  ["a count below zero", [{ count: -5, reason: "rejected", queue: "emailer" }]],
] as const;

describe("attemptOf", () => {
  it.each([...ON_3_10, ...ON_4_3])(
    "counts attempt $attempt in $queue on $brokerVersion",
    ({ attempt, ...counted }) => {
      expect(attemptOf(counted)).toBe(attempt);
    },
  );

  it("counts the first attempt for a replay, which has no x-death", () => {
    expect(attemptOf({ headers: {} })).toBe(1);
  });

  it("counts no attempt for a lost connection", () => {
    const headers = { "x-delivery-count": 5, "x-acquired-count": 6 };

    expect(attemptOf({ headers })).toBe(1);
  });

  it.each(["other", "emailer.parked", "emailer.wait.1s", "emailer.attempt.", "my.emailer"])(
    "counts no attempt for a rejection in %s",
    (queue) => {
      const headers = { "x-death": [died(queue, "rejected", 9), died("emailer", "maxlen", 9)] };

      expect(attemptOf({ headers })).toBe(1);
    },
  );

  it.each(Array.from({ length: 50 }, (_, seed) => seed))(
    "counts each attempt once while the schedule changes (seed %i)",
    (seed) => {
      const { whole, chance } = seeded(seed);
      const counts = new Map<string, number>();
      const count = (queue: string, reason: string) =>
        counts.set(`${queue} ${reason}`, (counts.get(`${queue} ${reason}`) ?? 0) + 1);
      let rungs = whole(1, 5);
      let rung = 0;

      for (let attempt = 1; attempt <= 40; attempt += 1) {
        const deaths = [...counts].map(([key, times]) =>
          died(...(key.split(" ") as [string, string]), times),
        );
        expect(attemptOf({ headers: { "x-death": deaths } })).toBe(attempt);
        count(rung === 0 ? "emailer" : `emailer.attempt.${rung}`, "rejected");
        if (chance(0.3)) rungs = whole(1, 5);
        rung = Math.min(rung + 1, rungs);
        count(`emailer.wait.${rung}s`, "expired");
      }
    },
  );

  it.each(FORGED)("counts the first attempt when a program forged x-death as %s", (_, death) => {
    expect(attemptOf({ headers: { "x-death": death } })).toBe(1);
  });
});

describe("crashesOf", () => {
  it.each([...ON_3_10, ...ON_4_3])(
    "counts none at attempt $attempt on $brokerVersion",
    (counted) => {
      expect(crashesOf(counted)).toBe(0);
    },
  );

  it.each([...ON_3_10, ...ON_4_3])(
    "counts three lost connections at attempt $attempt on $brokerVersion",
    ({ headers, ...counted }) => {
      const count = headers["x-delivery-count"] ?? 0;

      expect(
        crashesOf({ ...counted, headers: { ...headers, "x-delivery-count": count + 3 } }),
      ).toBe(3);
    },
  );

  it.each(["4.0.0", "4.3.6", "10.0.1"])(
    "subtracts rejections from the count on %s",
    (brokerVersion) => {
      const headers = { "x-delivery-count": 3, "x-death": [died("emailer", "rejected", 2)] };

      expect(crashesOf({ headers, brokerVersion })).toBe(1);
    },
  );

  it.each(FORGED)("counts none when a program forged x-death as %s", (_, death) => {
    const counted = { headers: { "x-death": death }, brokerVersion: "4.3.6" };

    expect(crashesOf(counted)).toBe(0);
  });

  it.each([["many"], [{}], [-5], [null]])("counts none when a program forged %j", (count) => {
    const headers = { "x-delivery-count": count };

    expect(crashesOf({ headers, brokerVersion: "4.3.6" })).toBe(0);
  });
});
