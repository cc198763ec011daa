import { describe, expect, it } from "@jest/globals";
import { joinTopologies } from "@wellsent/testing";
import { attemptQueues, DEFAULT_LADDER, ladder, topology } from "../src/topology.ts";

const whole = joinTopologies(topology("logs"), ladder());
const queueNamed = (name: string, from: Pick<typeof whole, "queues"> = whole) =>
  from.queues.find((queue) => queue.name === name);

/** Where a message of a direct exchange goes. */
function routed(source: string, key: string, from = whole): string[] {
  return from.bindings
    .filter((binding) => binding.source === source && binding.key === key)
    .map(({ destination }) => destination);
}

/** Where a queue's dead letters go: through its exchange, by its routing key. */
function below(name: string, from = whole): string[] {
  const declared = queueNamed(name, from)?.arguments ?? {};
  const exchange = String(declared["x-dead-letter-exchange"]);
  const key = String(declared["x-dead-letter-routing-key"]);
  return exchange === "" ? [key] : routed(exchange, key, from);
}

describe("topology and ladder", () => {
  it("name the exchanges and queues of the design", () => {
    expect(
      whole.exchanges.map(({ name, type, durable }) => `${name} ${type} ${durable}`),
    ).toStrictEqual([
      "emails fanout true",
      "outcomes topic true",
      "emailer.entry direct true",
      "adopted fanout true",
      "emailer.retry.spare direct true",
      "emailer.retry direct true",
      "logs fanout false",
    ]);
    expect(whole.queues.map(({ name }) => name)).toStrictEqual([
      "emailer",
      "logger",
      "logger.held",
      "logger.parked",
      "emailer.paused",
      "emailer.parked",
      "emailer.parked.pass",
      "emailer.ladder",
      "emailer.attempt.1",
      "emailer.attempt.2",
      "emailer.attempt.3",
      "emailer.attempt.4",
      "emailer.wait.10s",
      "emailer.wait.1m",
      "emailer.wait.10m",
      "emailer.wait.1h",
    ]);
  });

  it.each(whole.queues)("make $name a quorum queue that never gives a message up", (queue) => {
    expect(queue.arguments).toMatchObject({
      "x-queue-type": "quorum",
      "x-delivery-limit": 1_000_000_000,
    });
  });

  it.each(whole.queues)("give $name only arguments that a queue must be declared with", (queue) => {
    const allowed = [
      "x-queue-type",
      "x-delivery-limit",
      "x-dead-letter-exchange",
      "x-dead-letter-routing-key",
      "x-dead-letter-strategy",
      "x-overflow",
      "x-message-ttl",
    ];

    expect(allowed).toStrictEqual(expect.arrayContaining(Object.keys(queue.arguments)));
  });

  it.each(whole.queues.filter((queue) => "x-dead-letter-exchange" in queue.arguments))(
    "dead-letter $name at least once, and to a queue that exists",
    ({ name, arguments: declared }) => {
      expect(declared).toMatchObject({
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
      });
      expect(below(name).map((target) => queueNamed(target)?.name)).toStrictEqual(below(name));
    },
  );

  it("bind only what is declared", () => {
    const exchanges = new Set(whole.exchanges.map(({ name }) => name));
    const queues = new Set(whole.queues.map(({ name }) => name));

    for (const { source, destination, to } of whole.bindings) {
      expect(exchanges).toContain(source);
      expect(to === "queue" ? queues : exchanges).toContain(destination);
    }
  });

  it("declare nothing twice", () => {
    const names = [...whole.exchanges, ...whole.queues].map(({ name }) => name);
    const bindings = whole.bindings.map((binding) => JSON.stringify(binding));

    expect(new Set(names).size).toBe(names.length);
    expect(new Set(bindings).size).toBe(bindings.length);
  });
});

describe("topology", () => {
  it.each([
    ["emails", "", ["emailer", "logger", "logs"]],
    ["outcomes", "email.#", ["logger"]],
    ["emailer.entry", "emailer", ["emailer"]],
    ["adopted", "", ["emailer", "logger"]],
    ["logs", "", ["emails"]],
  ])("routes %s with key '%s' to %j", (exchange, key, destinations) => {
    expect(routed(exchange, key)).toStrictEqual(destinations);
  });

  it("leaves the article's exchange out unless it is named", () => {
    const { exchanges, bindings } = topology();

    expect(exchanges.every(({ durable }) => durable)).toBe(true);
    expect(bindings.every(({ to }) => to === "queue")).toBe(true);
  });

  it.each([
    ["what the logger cannot take yet", "logger", "logger.held", 60_000],
    ["parked mail that a pass has looked at", "emailer.parked", "emailer.parked.pass", 1_000],
  ])("returns %s after a while", (_, queue, wait, milliseconds) => {
    expect(below(queue)).toStrictEqual([wait]);
    expect(queueNamed(wait)?.arguments["x-message-ttl"]).toBe(milliseconds);
    expect(below(wait)).toStrictEqual([queue]);
  });

  it.each(["emailer.parked", "logger.parked", "logger", "emailer"])(
    "lets nothing in %s expire",
    (queue) => {
      expect(queueNamed(queue)?.arguments).not.toHaveProperty("x-message-ttl");
    },
  );
});

describe("ladder", () => {
  it("goes 10 s, 1 min, 10 min, 1 h, and the last rung repeats", () => {
    const seen: string[] = [];
    for (let queue = "emailer", step = 0; step < 12; step++) {
      const next = below(queue);
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
  ])("lets %s wait as long as its name says", (queue, milliseconds) => {
    expect(queueNamed(queue)?.arguments["x-message-ttl"]).toBe(milliseconds);
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

    expect(below("emailer", short)).toStrictEqual(["emailer.wait.1s"]);
    expect(below("emailer.wait.1s", short)).toStrictEqual(["emailer.attempt.1"]);
    expect(below("emailer.attempt.1", short)).toStrictEqual(["emailer.wait.1s"]);
  });

  it("changes bindings and no queue's arguments with another schedule", () => {
    const other = ladder([30, 60, 600, 3_600]);

    for (const queue of ladder().queues) {
      const same = queueNamed(queue.name, other);
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
