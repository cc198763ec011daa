import { describe, expect, it } from "@jest/globals";
import { conclude } from "../src/delivery/outcome.ts";

const refused = { verdict: "deferred", reply: "451 later", relay: "relay.example" } as const;

describe("conclude", () => {
  it.each([
    [1, "email.deferred"],
    [2, "email.parked"],
    [3, "email.parked"],
  ])("of two attempts makes attempt %i %s", (number, kind) => {
    const limits = { maxAttempts: 2, onAmbiguous: "retry" } as const;

    expect(conclude(refused, { number }, limits).kind).toBe(kind);
  });

  it("records why a delivery was kept although the relay refused it for good", () => {
    const limits = { maxAttempts: 2, onAmbiguous: "retry" } as const;
    const kept = { ...refused, reason: "RELAY_REFUSES_ALL" } as const;

    expect(conclude(kept, { number: 1 }, limits)).toEqual({
      kind: "email.deferred",
      reason: "RELAY_REFUSES_ALL",
    });
    expect(conclude(kept, { number: 2 }, limits)).toEqual({
      kind: "email.parked",
      reason: "ATTEMPTS_EXHAUSTED",
    });
  });
});
