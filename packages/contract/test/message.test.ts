import { describe, expect, it } from "@jest/globals";
import { readEmail, readOutcome } from "../src/message.ts";

const ID = "0199c0de-0000-7000-8000-000000000001";
const EMAIL = { toaddr: "a@example.com", subject: "Hello", body: "Text" };
const OUTCOME = {
  kind: "email.sent",
  delivery: `${ID}.0.0`,
  time: "2026-11-23T17:00:00.000Z",
  attempt: 1,
  possibleDuplicate: false,
} as const;

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const NOT_JSON = {
  kind: "malformed",
  code: "MESSAGE_NOT_JSON",
  reason: "The body is not JSON in UTF-8",
};
const UNREADABLE_BODIES = [
  ["nothing", Buffer.alloc(0)],
  ["text", Buffer.from("Hello")],
  ["half an object", Buffer.from('{"toaddr": "a@exam')],
  ["two objects", Buffer.from("{}{}")],
  ["invalid UTF-8", Buffer.from([0x22, 0xc3, 0x28, 0x22])],
  [
    "invalid UTF-8 inside an email",
    Buffer.concat([json(EMAIL).subarray(0, -2), Buffer.from([0xff, 0x22, 0x7d])]),
  ],
  ["UTF-16", Buffer.from(JSON.stringify(EMAIL), "utf16le")],
  ["NUL bytes", Buffer.alloc(1_000)],
  ["Latin-1", Buffer.from('{"subject": "Grüße"}', "latin1")],
] as const;

describe("readEmail", () => {
  it("reads an accepted email by its id", () => {
    const properties = { messageId: ID, type: "email.v1" };

    expect(readEmail({ body: json(EMAIL), properties })).toStrictEqual({
      kind: "email",
      id: ID,
      email: EMAIL,
    });
  });

  it("reads one recipient's delivery by its id", () => {
    const properties = { messageId: `${ID}.3.1`, type: "email.v1" };

    expect(readEmail({ body: json(EMAIL), properties })).toStrictEqual({
      kind: "delivery",
      id: { email: ID, recipient: 3, generation: 1 },
      email: EMAIL,
    });
  });

  it.each([
    ["no properties", {}],
    ["a type and no id", { type: "email.v1" }],
    ["an id and no type", { messageId: ID }],
    ["an id and another type", { messageId: ID, type: "order.v1" }],
    ["a foreign id and our type", { messageId: "42", type: "email.v1" }],
    ["an id of the year 10889", { messageId: `ffff${ID.slice(4)}`, type: "email.v1" }],
    ["an id of version 4", { messageId: "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", type: "email.v1" }],
    ["a type that is not text", { messageId: ID, type: 1 }],
  ])("takes a message with %s as foreign", (_, properties) => {
    expect(readEmail({ body: json(EMAIL), properties })).toStrictEqual({
      kind: "foreign",
      email: EMAIL,
    });
  });

  it.each(["email.v2", "email.v10", "email.v1.1"])("returns newer for %s with any body", (type) => {
    expect(
      readEmail({ body: Buffer.from("?"), properties: { messageId: ID, type } }),
    ).toStrictEqual({
      kind: "newer",
      code: "MESSAGE_VERSION_UNKNOWN",
      reason: `The message is of the unknown type ${type}`,
    });
  });

  it.each([`${ID}.0.0`, "42", undefined])(
    "does not treat a newer message with the id %s as foreign",
    (messageId) => {
      const properties = { messageId, type: "email.v2" };

      expect(readEmail({ body: json(EMAIL), properties })).toMatchObject({ kind: "newer" });
    },
  );

  it.each(UNREADABLE_BODIES)("reports that %s is not JSON in UTF-8", (_, body) => {
    expect(readEmail({ body, properties: {} })).toStrictEqual(NOT_JSON);
    expect(readEmail({ body, properties: { messageId: ID, type: "email.v1" } })).toStrictEqual(
      NOT_JSON,
    );
  });

  it("reports the invalid fields of an email without their values", () => {
    const body = json({ toaddr: "secret", subject: "secret\n", body: 7 });

    const message = readEmail({ body, properties: {} });

    expect(message).toMatchObject({ kind: "malformed", code: "MESSAGE_SCHEMA" });
    expect(message).toHaveProperty("reason", expect.stringMatching(/toaddr .*subject .*body /));
    expect(JSON.stringify(message)).not.toContain("secret");
  });

  it.each([
    ["ü@example.com", /^toaddr must not have letters outside ASCII before the @/],
    [["a@example.com", "b"], /^toaddr\.1 must be an address such as name@example\.com$/],
    [[], /^toaddr must have a recipient$/],
    [7, /^toaddr must be an address or a list of addresses$/],
  ])("says what is wrong with %j as toaddr", (toaddr, reason) => {
    expect(readEmail({ body: json({ ...EMAIL, toaddr }), properties: {} })).toMatchObject({
      code: "MESSAGE_SCHEMA",
      reason: expect.stringMatching(reason),
    });
  });

  it.each([["null"], ["[]"], ["1"], ['"text"']])("reports that %s is not an email", (text) => {
    expect(readEmail({ body: Buffer.from(text), properties: {} })).toMatchObject({
      kind: "malformed",
      code: "MESSAGE_SCHEMA",
      reason: expect.stringMatching(/^body /),
    });
  });

  it("keeps its reason short when every field is invalid", () => {
    const body = json({ ...EMAIL, toaddr: Array.from({ length: 50 }, () => "x") });

    const message = readEmail({ body, properties: {} });

    expect(message).toHaveProperty("reason", expect.not.stringContaining("toaddr.5"));
  });

  it("reads an email behind a byte order mark", () => {
    const body = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), json(EMAIL)]);

    expect(readEmail({ body, properties: {} })).toMatchObject({ kind: "foreign" });
  });

  it("reads nesting of a million levels without a crash", () => {
    const body = Buffer.from("[".repeat(1_000_000) + "]".repeat(1_000_000));

    expect(readEmail({ body, properties: {} })).toMatchObject({ kind: "malformed" });
  });
});

describe("readOutcome", () => {
  it.each(["email.sent", "email.deferred", "email.failed", "email.parked"])("reads %s", (kind) => {
    const outcome = { ...OUTCOME, kind };

    expect(readOutcome({ body: json(outcome), properties: { type: "outcome.v1" } })).toStrictEqual({
      kind: "outcome",
      outcome,
    });
  });

  it("drops unknown fields", () => {
    const body = json({ ...OUTCOME, mood: "good" });

    expect(readOutcome({ body, properties: { type: "outcome.v1" } })).toStrictEqual({
      kind: "outcome",
      outcome: OUTCOME,
    });
  });

  it.each(["outcome.v2", "query.v2"])("returns newer for %s", (type) => {
    expect(readOutcome({ body: json(OUTCOME), properties: { type } })).toStrictEqual({
      kind: "newer",
      code: "MESSAGE_VERSION_UNKNOWN",
      reason: `The message is of the unknown type ${type}`,
    });
  });

  it.each(UNREADABLE_BODIES)("reports that %s is not JSON in UTF-8", (_, body) => {
    expect(readOutcome({ body, properties: { type: "outcome.v1" } })).toStrictEqual(NOT_JSON);
  });

  it.each([
    ["kind", { ...OUTCOME, kind: "email.secret" }],
    ["delivery", { ...OUTCOME, delivery: "secret" }],
    ["time", { ...OUTCOME, time: "secret" }],
    ["time", { ...OUTCOME, time: "2026-11-23T17:00:00+01:00" }],
    ["recipient", { ...OUTCOME, recipient: "secret" }],
    ["bytes", { ...OUTCOME, bytes: -1 }],
    ["bytes", { ...OUTCOME, bytes: 1.5 }],
    ["attempt", { ...OUTCOME, attempt: 0 }],
    ["attempt", { ...OUTCOME, attempt: "1" }],
    ["possibleDuplicate", { ...OUTCOME, possibleDuplicate: undefined }],
  ])("names a faulty %s and quotes nothing of it", (field, outcome) => {
    const message = readOutcome({ body: json(outcome), properties: { type: "outcome.v1" } });

    expect(message).toMatchObject({
      kind: "malformed",
      code: "MESSAGE_SCHEMA",
      reason: expect.stringMatching(`^${field} `),
    });
    expect(JSON.stringify(message)).not.toContain("secret");
  });
});
