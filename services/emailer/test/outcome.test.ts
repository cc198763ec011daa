import { describe, expect, it } from "@jest/globals";
import { conclude } from "../src/delivery/outcome.ts";

const refused = { verdict: "deferred", reply: "451 later", relay: "relay.example" } as const;

describe("conclude", () => {
  it.each([
    [1, false, "email.deferred"],
    [2, false, "email.parked"],
    [2, true, "email.deferred"],
    [3, true, "email.parked"],
  ])(
    "of two attempts makes attempt %i (marked: %s) %s, since a marked one's first was none",
    (number, isMarked, kind) => {
      const limits = { maxAttempts: 2, onAmbiguous: "retry" } as const;

      expect(conclude(refused, { number, isMarked }, limits).kind).toBe(kind);
    },
  );
});
