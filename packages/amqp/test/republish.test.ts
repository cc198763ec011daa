import { describe, expect, it } from "@jest/globals";
import type { Delivery } from "../src/delivery.ts";
import { copyOf, isForged, shortString } from "../src/republish.ts";

const body = Buffer.from("{}");

function delivery(parts: Partial<Delivery> & { headers?: Record<string, unknown> }): Delivery {
  const { headers, ...others } = parts;
  return { exchange: "emails", redelivered: false, properties: { headers }, ...others } as Delivery;
}

function headersOf(headers: Record<string, unknown>): object {
  return copyOf({ body, properties: { headers } as Delivery["properties"] }, "queue").headers;
}

describe("copyOf", () => {
  it("returns the same message for another queue, on the default exchange", () => {
    const properties = { messageId: "7", type: "email.v1", headers: { a: "b", n: 1, yes: true } };

    expect(
      copyOf({ body, properties: properties as unknown as Delivery["properties"] }, "queue"),
    ).toEqual({
      exchange: "",
      routingKey: "queue",
      messageId: "7",
      type: "email.v1",
      headers: { a: "b", n: 1, yes: true },
      body,
    });
  });

  it.each([
    "x-death",
    "x-first-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
    "CC",
    "BCC",
  ])("leaves out the header %s, which a broker writes or acts on", (name) => {
    expect(headersOf({ [name]: "x", kept: "y" })).not.toHaveProperty(name);
    expect(headersOf({ [name]: "x", kept: "y" })).toHaveProperty("kept");
  });

  it.each([
    ["a table", {}],
    ["a list", []],
    ["a fraction", 0.5],
    ["a number that a double cannot hold", 2 ** 60],
    ["nothing", undefined],
  ])("leaves out a header whose value is %s", (_, value) => {
    expect(headersOf({ odd: value, kept: "y" })).toEqual({ kept: "y" });
  });

  it("omits all headers when they are larger than the client can write", () => {
    expect(headersOf({ large: "x".repeat(17_000), kept: "y" })).toEqual({});
  });

  it("creates an id for a message without one, or with one that cannot be written", () => {
    for (const messageId of [undefined, "", "x".repeat(256)]) {
      const properties = { messageId } as Delivery["properties"];
      expect(copyOf({ body, properties }, "queue").messageId).toMatch(/^[\da-f-]{36}$/);
    }
  });
});

describe("isForged", () => {
  it.each([
    ["a fresh message", {}, false],
    ["x-death from a publisher", { headers: { "x-death": [] } }, true],
    ["x-death from the broker", { exchange: "retry", headers: { "x-death": [] } }, false],
    ["a count of a first delivery", { headers: { "x-delivery-count": 3 } }, true],
    ["a count of 0", { headers: { "x-delivery-count": 0 } }, false],
    ["a count of a redelivery", { redelivered: true, headers: { "x-delivery-count": 3 } }, false],
  ])("is right about %s", (_, parts, forged) => {
    expect(isForged(delivery(parts), "retry")).toBe(forged);
  });
});

describe("shortString", () => {
  it.each([
    ["abc", "abc"],
    ["x".repeat(255), "x".repeat(255)],
    ["x".repeat(256), undefined],
    ["é".repeat(128), undefined],
    ["", undefined],
    [7, undefined],
    [undefined, undefined],
  ])("of %j is %j", (given, text) => {
    expect(shortString(given)).toBe(text);
  });
});
