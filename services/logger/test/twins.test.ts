import { expect, it } from "@jest/globals";
import { createTwins } from "../src/twins.ts";

const DELIVERY = "01a20b8d-d48b-7f92-9d4e-d5c21d5c7759.0.0";

it("knows a second asker about the same attempt, and none but that", () => {
  const hasTwin = createTwins();
  const ask = (asker?: string, attempt?: number) =>
    hasTwin({ delivery: DELIVERY, ...(attempt && { attempt }), ...(asker && { asker }) });

  expect(ask("a", 2)).toBe(false);
  expect(ask("a", 2)).toBe(false);
  expect(ask("b", 2)).toBe(true);
  expect(ask("b", 3)).toBe(false);
  expect(ask()).toBe(false);
});
