import { describe, expect, it } from "@jest/globals";
import { seeded, type Random } from "@wellsent/testing";
import request from "supertest";
import { createTestApp, EMAIL } from "./support.ts";

/** Posts bytes as JSON, and then an ordinary email. */
async function post(body: string | Buffer) {
  const { app, published } = createTestApp();
  const response = await request(app)
    .post("/send")
    .set("Content-Type", "application/json")
    .serialize((bytes: unknown) => bytes as string)
    .send(body);
  const next = await request(app).post("/send").send(EMAIL);
  return { response, next: next.status, published: published.length };
}

describe("malformed JSON", () => {
  it.each([
    ["nothing", "", { offset: 0, line: 1, column: 1 }],
    ["a missing brace", '{"toaddr":"a@b.c"', { offset: 17, line: 1, column: 18 }],
    ["a trailing comma", '{\n  "toaddr": "a@b.c",\n}', { offset: 23, line: 3, column: 1 }],
    ["a comment", "{ /* x */ }", { offset: 2, line: 1, column: 3 }],
    ["single quotes", "{'toaddr': 1}", { offset: 1, line: 1, column: 2 }],
    ["an unterminated string", '{"a": "b', { offset: 6, line: 1, column: 7 }],
    ["two documents", "{} {}", { offset: 3, line: 1, column: 4 }],
  ])("answers 400 with the position for %s", async (_what, body, position) => {
    const { response } = await post(body);

    expect(response.status).toBe(400);
    expect(response.body).toMatchObject({ code: "JSON_MALFORMED", position });
  });

  it("does not quote the body", async () => {
    const { response } = await post('{"toaddr": ada@example.com}');

    expect(response.status).toBe(400);
    expect(response.text).not.toContain("ada");
  });

  it("answers 400 to invalid UTF-8", async () => {
    const { response } = await post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]));

    expect(response.status).toBe(400);
    expect(response.body).toMatchObject({ code: "JSON_NOT_UTF8" });
  });

  // test/e2e/hostile-requests.test.ts measures the memory of a process of its own.
  it("answers 400 to megabytes of faults, and then accepts an email", async () => {
    const { response, next } = await post("@,".repeat(3_000_000));

    expect(response.status).toBe(400);
    expect(next).toBe(202);
  });
});

describe("deep nesting", () => {
  it.each([
    ["closed", "[".repeat(3_000_000) + "]".repeat(3_000_000)],
    ["open", "[".repeat(6_000_000)],
    ["of objects", '{"a":'.repeat(1_000_000)],
    ["in a field", `{"toaddr":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
    ["of 33", "[".repeat(33) + "]".repeat(33)],
  ])("answers 400, %s", async (_what, body) => {
    const { response, next } = await post(body);

    expect(response.status).toBe(400);
    expect(response.body).toMatchObject({ code: "JSON_TOO_DEEP" });
    expect(next).toBe(202);
  });

  it("does not count brackets in strings", async () => {
    const { response } = await post(JSON.stringify({ ...EMAIL, body: '"\\[{'.repeat(1_000) }));

    expect(response.status).toBe(202);
  });
});

describe("hostile fields", () => {
  it.each(["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"])(
    "refuses the field %s by name",
    async (name) => {
      const { response, published } = await post(
        `{"toaddr":"a@b.c","subject":"","body":"","${name}":{"x":1}}`,
      );

      expect(response.status).toBe(422);
      expect(response.body).toMatchObject({
        errors: [{ field: name, reason: "is not a known field" }],
      });
      expect(published).toBe(1);
      expect(({} as { x?: number }).x).toBeUndefined();
    },
  );

  it("reports a limited number of names with a limited length", async () => {
    const fields = Object.fromEntries(
      Array.from({ length: 100_000 }, (_, n) => [`${"x".repeat(20)}${n}`, 0]),
    );
    const { response } = await post(JSON.stringify({ ...fields, ["y".repeat(100_000)]: 0 }));

    expect(response.status).toBe(422);
    expect(response.text.length).toBeLessThan(5_000);
  });

  it.each(["\r\nBcc: x@y.z", "\n", "\r", "\0", "\u007f", "\u0085\r"])(
    "refuses %j in subject and address",
    async (bad) => {
      const inSubject = await post(JSON.stringify({ ...EMAIL, subject: `Hello${bad}` }));
      const inLocalPart = await post(JSON.stringify({ ...EMAIL, toaddr: `ada${bad}@example.com` }));
      const inDomain = await post(JSON.stringify({ ...EMAIL, toaddr: [`ada@example.com${bad}`] }));

      expect([inSubject, inLocalPart, inDomain].map(({ response }) => response.status)).toEqual([
        422, 422, 422,
      ]);
    },
  );

  it("accepts all kinds of line breaks in the body", async () => {
    const { response } = await post(JSON.stringify({ ...EMAIL, body: "a\r\n.\r\nb\nc\rd\u2028" }));

    expect(response.status).toBe(202);
  });

  it.each(["toaddr", "subject", "body"])("refuses a lone surrogate in %s", async (field) => {
    const { response } = await post(JSON.stringify({ ...EMAIL, [field]: "a\ud800@b.c" }));

    expect(response.status).toBe(422);
    expect(response.body).toMatchObject({ errors: [{ field }] });
  });

  it("answers in valid UTF-8 when a field's name is a lone surrogate", async () => {
    const { response } = await post('{"\\ud800": 1}');

    expect(response.status).toBe(422);
    expect(response.text.isWellFormed()).toBe(true);
  });

  it.each<unknown>([
    null,
    true,
    0,
    1e300,
    [],
    {},
    [[]],
    [{}],
    [null],
    { length: 1, 0: "a@b.c" },
    { toString: 1 },
  ])("refuses %j in every field", async (value) => {
    for (const field of ["toaddr", "subject", "body"]) {
      const { response, next } = await post(JSON.stringify({ ...EMAIL, [field]: value }));

      expect(response.status).toBe(422);
      expect(next).toBe(202);
    }
  });

  it.each([
    "a@b@c.d",
    "@b.c",
    "a@",
    "a b@c.d",
    "<a@b.c>",
    "Ada <a@b.c>",
    "a@b.c,d@e.f",
    "a@[127.0.0.1]",
    "a@127.0.0.1",
    "a@0x7f.1",
    "a@-b.c",
    "a@b..c",
    "a@b.c.",
    `a@${"b".repeat(64)}.c`,
    `a@${"b.".repeat(130)}c`,
    `a@${"é".repeat(100_000)}.c`,
    "a\u0000@b.c",
    "a@b.c\u202e",
    "a@b\uff0ec\u3002\uff0f",
  ])("refuses the address %j", async (toaddr) => {
    const { response } = await post(JSON.stringify({ ...EMAIL, toaddr }));

    expect(response.status).toBe(422);
    expect(response.body).toMatchObject({ errors: [{ field: "toaddr" }] });
  });
});

describe("large bodies", () => {
  it("answers 413 to 10 MB", async () => {
    const { response, next } = await post(
      JSON.stringify({ ...EMAIL, body: "x".repeat(10_000_000) }),
    );

    expect(response.status).toBe(413);
    expect(response.body).toMatchObject({ code: "BODY_TOO_LARGE" });
    expect(next).toBe(202);
  });

  it("refuses a list of half a million addresses", async () => {
    const { response } = await post(
      JSON.stringify({ ...EMAIL, toaddr: Array(500_000).fill("a@b.ch") }),
    );

    expect(response.status).toBe(422);
  });
});

describe("fuzzed JSON", () => {
  it("answers each mutation with 202, 400, 413 or 422", async () => {
    const { app } = createTestApp();
    const random = seeded(42);
    const statuses = new Set<number>();

    for (let round = 0; round < 300; round += 1) {
      const response = await request(app)
        .post("/send")
        .set("Content-Type", "application/json")
        .serialize((bytes: unknown) => bytes as string)
        .send(mutate(Buffer.from(JSON.stringify(EMAIL)), random));
      statuses.add(response.status);
    }

    expect([...statuses].filter((status) => ![202, 400, 413, 422].includes(status))).toEqual([]);
    expect(statuses.size).toBeGreaterThan(1);
  });
});

function mutate(bytes: Buffer, random: Random): Buffer {
  for (let change = random.whole(1, 3); change > 0; change -= 1) {
    bytes[random.whole(0, bytes.length - 1)] = random.whole(0, 255);
  }
  return bytes;
}
