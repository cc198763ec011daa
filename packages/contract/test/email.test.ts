import { describe, expect, it } from "@jest/globals";
import { emailSchema, recipientsOf } from "../src/email.ts";
import { faultsIn } from "../src/message.ts";

const EMAIL = { toaddr: "a@example.com", subject: "Hello", body: "Text" };

/** Returns the fields and the reasons for which an email is refused. */
function faultsOf(email: unknown): string[] {
  const { error } = emailSchema.safeParse(email);
  return faultsIn(error?.issues ?? []).map(
    ({ path, issue }) => `${path.join(".")} ${issue.message}`,
  );
}

const addresses = (count: number) =>
  Array.from({ length: count }, (_, index) => `name${index}@example.com`);

describe("emailSchema", () => {
  it("accepts the article's three fields", () => {
    expect(emailSchema.parse(EMAIL)).toStrictEqual(EMAIL);
  });

  it("drops unknown fields", () => {
    expect(emailSchema.parse({ ...EMAIL, from: "b@example.com" })).toStrictEqual(EMAIL);
  });

  it("drops a __proto__ member", () => {
    const email = emailSchema.parse(
      JSON.parse(`{"__proto__": {"admin": true}, ${JSON.stringify(EMAIL).slice(1)}`),
    );

    expect(email).toStrictEqual(EMAIL);
    expect("admin" in email).toBe(false);
  });

  it.each(["toaddr", "subject", "body"] as const)("requires %s", (field) => {
    expect(faultsOf({ ...EMAIL, [field]: undefined })).toStrictEqual([
      expect.stringMatching(`^${field} `),
    ]);
  });

  it.each([
    ["a number", 1],
    ["null", null],
    ["an object", {}],
    ["a boolean", true],
  ])("refuses %s in every field", (_, value) => {
    expect(faultsOf({ toaddr: value, subject: value, body: value })).toStrictEqual([
      expect.stringMatching(/^toaddr /),
      expect.stringMatching(/^subject /),
      expect.stringMatching(/^body /),
    ]);
  });

  it.each([[null], [[]], ["text"], [1]])("refuses %j in place of an email", (value) => {
    expect(emailSchema.safeParse(value).success).toBe(false);
  });
});

describe("emailSchema.toaddr", () => {
  it.each([1, 50])("accepts a list of %i", (count) => {
    const toaddr = addresses(count);

    expect(emailSchema.parse({ ...EMAIL, toaddr }).toaddr).toStrictEqual(toaddr);
  });

  it("normalises each address of a list and keeps their order", () => {
    const toaddr = ["b@EXAMPLE.com", "a@bücher.example"];

    expect(emailSchema.parse({ ...EMAIL, toaddr }).toaddr).toStrictEqual([
      "b@example.com",
      "a@xn--bcher-kva.example",
    ]);
  });

  it("refuses an empty list", () => {
    expect(faultsOf({ ...EMAIL, toaddr: [] })).toStrictEqual(["toaddr must have a recipient"]);
  });

  it("refuses a list of 51", () => {
    expect(faultsOf({ ...EMAIL, toaddr: addresses(51) })).toStrictEqual([
      "toaddr must not have more than 50 recipients",
    ]);
  });

  it("reports the fault of a single address", () => {
    expect(faultsOf({ ...EMAIL, toaddr: "ü@example.com" })).toStrictEqual([
      expect.stringMatching(/^toaddr must not have letters outside ASCII before the @/),
    ]);
  });

  it("reports the index of an invalid address in a list", () => {
    const toaddr = ["a@example.com", "b", "c@example.com", "d@example.1"];

    expect(faultsOf({ ...EMAIL, toaddr })).toStrictEqual([
      "toaddr.1 must be an address such as name@example.com",
      "toaddr.3 must have a valid domain after the @",
    ]);
  });

  it("refuses a list in a list", () => {
    expect(emailSchema.safeParse({ ...EMAIL, toaddr: [["a@example.com"]] }).success).toBe(false);
  });
});

describe("emailSchema.subject", () => {
  it.each([
    ["an empty one", ""],
    ["998 characters", "s".repeat(998)],
    ["emoji", "😀 Grüße"],
    ["spaces at its ends", " a "],
  ])("takes %s", (_, subject) => {
    expect(emailSchema.parse({ ...EMAIL, subject }).subject).toBe(subject);
  });

  it("refuses 999 characters", () => {
    expect(faultsOf({ ...EMAIL, subject: "s".repeat(999) })).toStrictEqual([
      "subject must not be longer than 998 characters",
    ]);
  });

  it.each([
    ["CR LF and a header", "Hello\r\nBcc: x@example.com"],
    ["a CR", "a\rb"],
    ["a LF at the end", "a\n"],
    ["a tab", "a\tb"],
    ["a NUL", "a\0b"],
    ["a DEL", "a\x7fb"],
  ])("refuses %s", (_, subject) => {
    expect(faultsOf({ ...EMAIL, subject })).toStrictEqual([
      "subject must not have line breaks or other control characters",
    ]);
  });

  it("refuses a lone surrogate", () => {
    expect(faultsOf({ ...EMAIL, subject: "\udc00" })).toStrictEqual([
      "subject must not have a lone surrogate",
    ]);
  });
});

describe("emailSchema.body", () => {
  it.each([
    ["an empty one", ""],
    ["every kind of line break", "a\r\nb\nc\rd"],
    ["dots at line starts", ".\r\n..\r\n."],
    ["a line of 3,000 characters", "b".repeat(3_000)],
    ["a tab and emoji", "\t😀"],
  ])("takes %s unchanged", (_, body) => {
    expect(emailSchema.parse({ ...EMAIL, body }).body).toBe(body);
  });

  it.each([
    ["a lone surrogate", "a\ud83d", "body must not have a lone surrogate"],
    ["a NUL", "a\0", "body must not have a NUL character"],
  ])("refuses %s", (_, body, fault) => {
    expect(faultsOf({ ...EMAIL, body })).toStrictEqual([fault]);
  });
});

describe("emailSchema.expiresAt", () => {
  it.each([
    ["2026-11-23T18:00:00Z", "2026-11-23T18:00:00Z"],
    ["2026-11-23t18:00:00z", "2026-11-23T18:00:00Z"],
    ["2026-11-23t18:00:00.5+01:00", "2026-11-23T18:00:00.5+01:00"],
  ])("takes %s", (expiresAt, normal) => {
    expect(emailSchema.parse({ ...EMAIL, expiresAt }).expiresAt).toBe(normal);
  });

  it.each([
    "2026-11-23",
    "2026-11-23 18:00:00Z",
    "2026-11-23T18:00:00",
    "2026-02-30T18:00:00Z",
    "",
  ])("refuses %j", (expiresAt) => {
    expect(faultsOf({ ...EMAIL, expiresAt })).toEqual([
      "expiresAt must be a time such as 2026-11-23T18:00:00Z",
    ]);
  });
});

describe("recipientsOf", () => {
  it("returns a list with a single address", () => {
    expect(recipientsOf({ toaddr: "a@example.com" })).toStrictEqual(["a@example.com"]);
  });

  it("returns a list in its order, with repeated addresses", () => {
    const toaddr = ["b@example.com", "a@example.com", "b@example.com"];

    expect(recipientsOf({ toaddr })).toStrictEqual(toaddr);
  });
});
