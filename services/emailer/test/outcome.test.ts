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

  it("records why a delivery was kept although the relay refused it for good", () => {
    const limits = { maxAttempts: 2, onAmbiguous: "retry" } as const;
    const kept = { ...refused, reason: "RELAY_REFUSES_ALL" } as const;

    expect(conclude(kept, { number: 1, isMarked: false }, limits)).toEqual({
      kind: "email.deferred",
      reason: "RELAY_REFUSES_ALL",
    });
    expect(conclude(kept, { number: 2, isMarked: false }, limits)).toEqual({
      kind: "email.parked",
      reason: "ATTEMPTS_EXHAUSTED",
    });
  });
});
