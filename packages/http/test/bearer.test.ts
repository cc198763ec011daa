import { describe, expect, it } from "@jest/globals";
import { bearerToken, hashToken, isSameHash } from "../src/bearer.ts";

describe("bearerToken", () => {
  it.each(["Bearer abc", "bearer abc", "BEARER  abc  "])("returns the token in %j", (header) => {
    expect(bearerToken(header)).toBe("abc");
  });

  it.each([undefined, "", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "Bearer ä"])(
    "returns nothing for %j",
    (header) => {
      expect(bearerToken(header)).toBeUndefined();
    },
  );
});

describe("isSameHash", () => {
  it("compares the hashes of tokens", () => {
    expect(isSameHash(hashToken("a"), hashToken("a"))).toBe(true);
    expect(isSameHash(hashToken("a"), hashToken("b"))).toBe(false);
  });
});
