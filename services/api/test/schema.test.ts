import { describe, expect, it } from "@jest/globals";
import { createSendSchema, fieldErrors, isTooLarge } from "../src/send/schema.ts";
import { EMAIL } from "./support.ts";

const schema = createSendSchema(10);
const issuesOf = (body: unknown) =>
  schema.safeParse(body, { reportInput: true }).error?.issues ?? [];
const errorsOf = (body: unknown) => fieldErrors(issuesOf(body));

describe("createSendSchema", () => {
  it("accepts a body with the largest number of bytes", () => {
    expect(errorsOf({ ...EMAIL, body: "ä".repeat(5) })).toEqual([]);
  });

  it("refuses one more byte as too large", () => {
    expect(issuesOf({ ...EMAIL, body: `${"ä".repeat(5)}a` }).some(isTooLarge)).toBe(true);
  });

  it("does not report another fault of the body as too large", () => {
    expect(issuesOf({ ...EMAIL, body: "a\0" }).map(isTooLarge)).toEqual([false]);
  });

  it("reports each repeated address, compared in normal form", () => {
    const toaddr = ["ada@example.com", "bob@example.com", "ada@EXAMPLE.com"];

    expect(errorsOf({ ...EMAIL, toaddr, body: "" })).toEqual([
      { field: "toaddr[2]", reason: "repeats toaddr[0]" },
    ]);
  });

  it.each([
    [-1_000, [{ field: "expiresAt", reason: "must be in the future" }]],
    [60_000, []],
  ])("with an expiry in %i ms has the errors %j", (ms, errors) => {
    const expiresAt = new Date(Date.now() + ms).toISOString();

    expect(errorsOf({ ...EMAIL, expiresAt, body: "" })).toEqual(errors);
  });
});

describe("fieldErrors", () => {
  it("reports absent fields as required", () => {
    expect(errorsOf({})).toEqual([
      { field: "toaddr", reason: "is required" },
      { field: "subject", reason: "is required" },
      { field: "body", reason: "is required" },
    ]);
  });

  it("reports a body that is not an object as $", () => {
    expect(errorsOf([])).toEqual([{ field: "$", reason: "must be a JSON object" }]);
  });

  it("reports at most 20 unknown fields, with at most 100 characters of each name", () => {
    const unknown = Array.from({ length: 30 }, (_, index) => [`${index}${"x".repeat(200)}`, 1]);
    const errors = errorsOf({ ...EMAIL, body: "", ...Object.fromEntries(unknown) });

    expect(errors).toHaveLength(20);
    expect(new Set(errors.map(({ reason }) => reason))).toEqual(new Set(["is not a known field"]));
    expect(Math.max(...errors.map(({ field }) => field.length))).toBe(100);
  });
});
