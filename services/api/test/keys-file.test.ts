import { describe, expect, it } from "@jest/globals";
import { isAbout, parseKeys } from "../src/keys-file.ts";

const HASH = "ab".repeat(32);

describe("parseKeys", () => {
  it.each([`${HASH}  shop`, `${HASH} *shop`, `${HASH.toUpperCase()}  shop\r`, `  ${HASH}  shop `])(
    "reads the key in %j",
    (line) => {
      expect(parseKeys(line)).toEqual({
        keys: [{ hash: Buffer.from(HASH, "hex"), name: "shop" }],
        faulty: [],
      });
    },
  );

  it("ignores empty lines and comments", () => {
    expect(parseKeys("\n# shop\n  \n")).toEqual({ keys: [], faulty: [] });
  });

  it.each([
    HASH,
    `${HASH.slice(1)}  shop`,
    `${HASH}  my shop`,
    `${HASH}  ${"n".repeat(65)}`,
    "shop",
  ])("reports %j as invalid, with its number", (line) => {
    expect(parseKeys(`# keys\n${line}\n`)).toEqual({
      keys: [],
      faulty: [{ number: 2, text: line }],
    });
  });
});

describe("isAbout", () => {
  const key = { hash: Buffer.from(HASH, "hex"), name: "shop" };

  it.each([
    [HASH.toUpperCase(), true],
    [`${HASH.slice(1)} *shop`, true],
    ["shop", true],
    ["shops", false],
    ["cd".repeat(32), false],
  ])("of the line %s is %s", (text, expected) => {
    expect(isAbout({ number: 1, text }, key)).toBe(expected);
  });
});
