import { describe, expect, it } from "@jest/globals";
import { joinTopologies } from "@wellsent/testing";
import { ladder } from "../src/ladder.ts";
import { topology } from "../src/topology.ts";
import { below, queueNamed, routed } from "./support.ts";

const whole = joinTopologies(topology("logs"), ladder());

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

  it.each(whole.queues)("make $name a quorum queue that never drops a message", (queue) => {
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
      expect(below(whole, name).map((target) => queueNamed(whole, target)?.name)).toStrictEqual(
        below(whole, name),
      );
    },
  );

  it("bind only exchanges and queues that they declare", () => {
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
    expect(routed(whole, exchange, key)).toStrictEqual(destinations);
  });

  it("has no article exchange unless its name is given", () => {
    const { exchanges, bindings } = topology();

    expect(exchanges.every(({ durable }) => durable)).toBe(true);
    expect(bindings.every(({ to }) => to === "queue")).toBe(true);
  });

  it.each([
    ["messages that the logger cannot read yet", "logger", "logger.held", 60_000],
    ["parked deliveries after a pass", "emailer.parked", "emailer.parked.pass", 1_000],
  ])("returns %s to their queue", (_, queue, wait, milliseconds) => {
    expect(below(whole, queue)).toStrictEqual([wait]);
    expect(queueNamed(whole, wait)?.arguments["x-message-ttl"]).toBe(milliseconds);
    expect(below(whole, wait)).toStrictEqual([queue]);
  });

  it.each(["emailer.parked", "logger.parked", "logger", "emailer"])(
    "keeps messages in %s without a time limit",
    (queue) => {
      expect(queueNamed(whole, queue)?.arguments).not.toHaveProperty("x-message-ttl");
    },
  );
});
