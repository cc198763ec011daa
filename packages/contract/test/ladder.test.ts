import { describe, expect, it } from "@jest/globals";
import { joinTopologies } from "@wellsent/testing";
import {
  attemptQueues,
  DEFAULT_LADDER,
  isAttemptQueue,
  ladder,
  ladderExchanges,
  retryBindings,
} from "../src/ladder.ts";
import { topology } from "../src/topology.ts";
import { below, queueNamed } from "./support.ts";

const whole = joinTopologies(topology(), ladder());

describe("ladder", () => {
  it("waits 10 s, 1 min, 10 min, 1 h, and repeats the last rung", () => {
    const seen: string[] = [];
    for (let queue = "emailer", step = 0; step < 12; step += 1) {
      const next = below(whole, queue);
      seen.push(next.join());
      queue = next[0] ?? "";
    }

    expect(seen).toStrictEqual([
      "emailer.wait.10s",
      "emailer.attempt.1",
      "emailer.wait.1m",
      "emailer.attempt.2",
      "emailer.wait.10m",
      "emailer.attempt.3",
      "emailer.wait.1h",
      "emailer.attempt.4",
      "emailer.wait.1h",
      "emailer.attempt.4",
      "emailer.wait.1h",
      "emailer.attempt.4",
    ]);
  });

  it.each([
    ["emailer.wait.10s", 10_000],
    ["emailer.wait.1m", 60_000],
    ["emailer.wait.10m", 600_000],
    ["emailer.wait.1h", 3_600_000],
  ])("gives %s the waiting time in its name", (queue, milliseconds) => {
    expect(queueNamed(whole, queue)?.arguments["x-message-ttl"]).toBe(milliseconds);
  });

  it.each([
    [1, "emailer.wait.1s"],
    [59, "emailer.wait.59s"],
    [60, "emailer.wait.1m"],
    [90, "emailer.wait.90s"],
    [3_600, "emailer.wait.1h"],
    [5_400, "emailer.wait.90m"],
    [86_400, "emailer.wait.24h"],
  ])("names the wait of %i seconds %s", (seconds, name) => {
    expect(ladder([seconds]).queues.map((queue) => queue.name)).toContain(name);
  });

  it("repeats its only rung", () => {
    const short = joinTopologies(topology(), ladder([1]));

    expect(below(short, "emailer")).toStrictEqual(["emailer.wait.1s"]);
    expect(below(short, "emailer.wait.1s")).toStrictEqual(["emailer.attempt.1"]);
    expect(below(short, "emailer.attempt.1")).toStrictEqual(["emailer.wait.1s"]);
  });

  it("changes no queue's arguments with another schedule", () => {
    const other = ladder([30, 60, 600, 3_600]);

    for (const queue of ladder().queues) {
      const same = queueNamed(other, queue.name);
      expect(same?.arguments ?? queue.arguments).toStrictEqual(queue.arguments);
    }
  });

  it("has a rung for each of the default's waits", () => {
    expect(attemptQueues(DEFAULT_LADDER.length)).toStrictEqual([
      "emailer.attempt.1",
      "emailer.attempt.2",
      "emailer.attempt.3",
      "emailer.attempt.4",
    ]);
  });
});

describe("ladder with another prefix", () => {
  it("has the prefix in every name", () => {
    const { queues, bindings } = ladder([10, 60], "webhooks");
    const names = [...ladderExchanges("webhooks"), ...queues].map(({ name }) => name);

    expect(names).toStrictEqual([
      "webhooks.retry.spare",
      "webhooks.retry",
      "webhooks.ladder",
      "webhooks.attempt.1",
      "webhooks.attempt.2",
      "webhooks.wait.10s",
      "webhooks.wait.1m",
    ]);
    expect(JSON.stringify({ queues, bindings })).not.toContain("emailer");
  });

  it("moves a rejected message from the queue of the prefix to its rungs", () => {
    const other = ladder([10], "webhooks");

    expect(below(other, "webhooks.attempt.1")).toStrictEqual(["webhooks.wait.10s"]);
    expect(below(other, "webhooks.wait.10s")).toStrictEqual(["webhooks.attempt.1"]);
    expect(other.bindings).toContainEqual({
      source: "webhooks.retry",
      destination: "webhooks.wait.10s",
      to: "queue",
      key: "webhooks",
    });
  });
});

describe("retryBindings", () => {
  const keysAndDestinations = (seconds: number[], before: number[], prefix?: string) =>
    retryBindings(seconds, ladder(before, prefix).bindings, prefix).map(
      ({ key, destination }) => `${key} > ${destination}`,
    );

  it("is the ladder when no earlier schedule exists", () => {
    expect(retryBindings([1, 2], [])).toStrictEqual(ladder([1, 2]).bindings);
  });

  it.each(["emailer", "webhooks"])("leads from removed queues of %s to the last rung", (prefix) => {
    expect(keysAndDestinations([5], [1, 2], prefix)).toStrictEqual([
      `${prefix} > ${prefix}.wait.5s`,
      `${prefix}.attempt.1 > ${prefix}.wait.5s`,
      `${prefix}.wait.5s > ${prefix}.attempt.1`,
      `${prefix}.attempt.2 > ${prefix}.wait.5s`,
      `${prefix}.wait.1s > ${prefix}.attempt.1`,
      `${prefix}.wait.2s > ${prefix}.attempt.1`,
    ]);
  });

  it("keeps an earlier schedule's key once", () => {
    const bindings = retryBindings([5], ladder([5, 6]).bindings);

    expect(new Set(bindings.map(({ key }) => key)).size).toBe(bindings.length);
  });
});

describe("isAttemptQueue", () => {
  it.each(["emailer.attempt.1", "emailer.attempt.12"])("accepts %s", (name) => {
    expect(isAttemptQueue(name)).toBe(true);
  });

  it.each([
    "emailer",
    "emailer.attempt.",
    "emailer.attempt.1x",
    "emailer.attempt.1.2",
    "xemailer.attempt.1",
    "emailerxattempt.1",
    "webhooks.attempt.1",
    "emailer.wait.1s",
  ])("does not accept %s", (name) => {
    expect(isAttemptQueue(name)).toBe(false);
  });

  it("recognizes the queues of another prefix", () => {
    expect(isAttemptQueue("webhooks.attempt.1", "webhooks")).toBe(true);
    expect(isAttemptQueue("emailer.attempt.1", "webhooks")).toBe(false);
  });
});
