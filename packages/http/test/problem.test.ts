import { describe, expect, it } from "@jest/globals";
import { Problem, problemKinds, problemSchema } from "../src/problem.ts";

const KINDS = problemKinds({
  BUSY: { status: 503, title: "The server is busy", retryAfter: 7 },
  INVALID: { status: 422, title: "The body is invalid" },
});

describe("problemKinds", () => {
  it("adds its code to each kind", () => {
    expect(KINDS.INVALID).toEqual({ code: "INVALID", status: 422, title: "The body is invalid" });
  });
});

describe("Problem", () => {
  it("formats the document and the header fields of its kind", () => {
    const { headers, text } = new Problem(KINDS.BUSY).format("request-1");

    expect(JSON.parse(text)).toEqual({
      type: "urn:wellsent:problem:BUSY",
      title: "The server is busy",
      status: 503,
      code: "BUSY",
      requestId: "request-1",
    });
    expect(headers).toEqual({
      "Content-Type": "application/problem+json",
      "Content-Length": Buffer.byteLength(text),
      "X-Request-Id": "request-1",
      "Retry-After": 7,
    });
  });

  it("adds members and header fields, and never the cause", () => {
    const problem = new Problem(KINDS.INVALID, {
      detail: "größe",
      headers: { Allow: "GET" },
      cause: new Error("secret"),
    });
    const { headers, text } = problem.format("1");

    expect(JSON.parse(text)).toMatchObject({ detail: "größe" });
    expect(headers).toMatchObject({ Allow: "GET", "Content-Length": Buffer.byteLength(text) });
    expect(headers).not.toHaveProperty("Retry-After");
    expect(text).not.toContain("secret");
  });
});

describe("problemSchema", () => {
  const document = (code: keyof typeof KINDS): unknown =>
    JSON.parse(new Problem(KINDS[code]).format("1").text);

  it("accepts a document of its kinds, and refuses another code", () => {
    const schema = problemSchema([KINDS.BUSY]);

    expect(schema.safeParse(document("BUSY")).success).toBe(true);
    expect(schema.safeParse(document("INVALID")).success).toBe(false);
  });
});
