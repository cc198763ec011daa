import { describe, expect, it } from "@jest/globals";
import {
  deliveryIdSchema,
  emailIdSchema,
  formatDeliveryId,
  isEmailId,
  newId,
  parseDeliveryId,
  timeOfEmailId,
} from "../src/ids.ts";

const ID = "0199c0de-0000-7000-8000-000000000001";

describe("newId", () => {
  it("returns an email id", () => {
    expect(isEmailId(newId())).toBe(true);
  });

  it("returns different ids that sort by time", () => {
    const ids = Array.from({ length: 1_000 }, newId);

    expect(new Set(ids).size).toBe(1_000);
    expect(ids.map(timeOfEmailId)).toStrictEqual(ids.map(timeOfEmailId).sort((a, b) => a - b));
  });
});

describe("timeOfEmailId", () => {
  it("returns when the id was created", () => {
    const before = Date.now();
    const time = timeOfEmailId(newId());

    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(Date.now());
  });

  it("reads the first 48 bits as milliseconds since the epoch", () => {
    expect(timeOfEmailId("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")).toBe(
      Date.UTC(2022, 1, 22, 19, 22, 22),
    );
  });
});

describe("isEmailId", () => {
  it.each([
    ["version 4", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"],
    ["another variant", "0199c0de-0000-7000-c000-000000000001"],
    ["capitals", ID.toUpperCase()],
    ["a time after the last valid date", `e${ID.slice(1)}`],
    ["a delivery id", `${ID}.0.0`],
    ["a line break after it", `${ID}\n`],
    ["braces", `{${ID}}`],
    ["nothing", ""],
    ["undefined", undefined],
    ["a list with an id", [ID]],
  ])("denies %s", (_, value) => {
    expect(isEmailId(value)).toBe(false);
  });
});

describe("parseDeliveryId", () => {
  it.each([
    [`${ID}.0.0`, { email: ID, recipient: 0, generation: 0 }],
    [`${ID}.49.3`, { email: ID, recipient: 49, generation: 3 }],
    [`${ID}.0.99999`, { email: ID, recipient: 0, generation: 99_999 }],
  ])("reads %s and writes it the same", (text, id) => {
    expect(parseDeliveryId(text)).toStrictEqual(id);
    expect(formatDeliveryId(id)).toBe(text);
  });

  it.each([
    ["an email id", ID],
    ["no generation", `${ID}.0`],
    ["a fourth part", `${ID}.0.0.0`],
    ["a zero before a number", `${ID}.01.0`],
    ["a sign", `${ID}.-1.0`],
    ["a hexadecimal number", `${ID}.0x1.0`],
    ["six digits", `${ID}.0.100000`],
    ["a UUID of version 4", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d.0.0"],
    ["text before it", `x${ID}.0.0`],
    ["a line break after it", `${ID}.0.0\n`],
    ["other digits", `${ID}.٠.0`],
    ["nothing", ""],
    ["undefined", undefined],
    ["null", null],
    ["a number", 7],
    ["an object", {}],
  ])("denies %s", (_, text) => {
    expect(parseDeliveryId(text)).toBeUndefined();
  });
});

describe("emailIdSchema and deliveryIdSchema", () => {
  it("agree with the functions", () => {
    expect(emailIdSchema.safeParse(ID).success).toBe(true);
    expect(emailIdSchema.safeParse(`${ID}.0.0`).success).toBe(false);
    expect(deliveryIdSchema.safeParse(`${ID}.0.0`).success).toBe(true);
    expect(deliveryIdSchema.safeParse(ID).success).toBe(false);
  });
});
