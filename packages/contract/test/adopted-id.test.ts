import { describe, expect, it } from "@jest/globals";
import { adoptedId, DIGEST, digestOf } from "../src/adopted-id.ts";
import { isEmailId, timeOfEmailId } from "../src/ids.ts";

const body = Buffer.from('{"toaddr": "a@example.com", "subject": "Hello", "body": "Text"}');
const TIME = Date.UTC(2026, 10, 30);

describe("digestOf", () => {
  it("is the same each time that a message is delivered", () => {
    expect(digestOf({ body, properties: {} })).toBe(digestOf({ body, properties: {} }));
  });

  it.each([
    ["another body", { body: Buffer.from("{}"), properties: {} }],
    ["another messageId", { body, properties: { messageId: "7" } }],
    ["another timestamp", { body, properties: { timestamp: 7 } }],
  ])("differs for %s", (_, message) => {
    expect(digestOf(message)).not.toBe(digestOf({ body, properties: {} }));
  });
});

describe("adoptedId", () => {
  it("is an email id with the given time, and ends in the digest", () => {
    for (let index = 0; index < 1_000; index += 1) {
      const digest = digestOf({ body, properties: { messageId: String(index) } });
      const id = adoptedId(digest, TIME + index);
      expect(isEmailId(id)).toBe(true);
      expect(timeOfEmailId(id)).toBe(TIME + index);
      expect(digest).toMatch(DIGEST);
      expect(id.endsWith(`-${digest}`)).toBe(true);
    }
  });

  it("differs for two equal messages of one millisecond", () => {
    const digest = digestOf({ body, properties: {} });

    expect(adoptedId(digest, TIME, 1)).not.toBe(adoptedId(digest, TIME, 2));
  });
});
