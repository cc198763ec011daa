import { describe, expect, it } from "@jest/globals";
import { hasTooManyValues, VALUES_MAX } from "../src/json-size.ts";
import { readEmail } from "../src/message.ts";

const listOf = (count: number, value: string) => `[${Array(count).fill(value).join(",")}]`;

describe("hasTooManyValues", () => {
  it.each([
    ["an email", '{"toaddr": ["a@example.com"], "subject": "a, b", "body": "[[[,,,"}'],
    ["a text of commas", JSON.stringify(",".repeat(VALUES_MAX * 2))],
    ["a text of escaped quotes and commas", JSON.stringify('",'.repeat(VALUES_MAX * 2))],
    ["a text of backslashes", JSON.stringify("\\".repeat(VALUES_MAX + 1)) + ","],
    ["a list at the limit", listOf(VALUES_MAX, "1")],
    ["nothing", ""],
  ])("is false for %s", (_, json) => {
    expect(hasTooManyValues(Buffer.from(json))).toBe(false);
  });

  it.each([
    ["a list beyond the limit", listOf(VALUES_MAX + 1, "1")],
    ["a list of objects", listOf(VALUES_MAX / 2 + 1, "{}")],
    ["deep nesting", "[".repeat(VALUES_MAX + 1)],
  ])("is true for %s", (_, json) => {
    expect(hasTooManyValues(Buffer.from(json))).toBe(true);
  });
});

describe("readEmail", () => {
  it("returns malformed for a message with too many values", () => {
    const body = Buffer.from(`{"toaddr": ${listOf(2_000_000, "{}")}}`);

    expect(readEmail({ body, properties: {} })).toMatchObject({
      kind: "malformed",
      code: "MESSAGE_SCHEMA",
      reason: "The body has more than 10000 values",
    });
  });
});
