import { expect, it } from "@jest/globals";
import { createFakeLog } from "../src/fake-log.ts";

it("keeps level, message and fields of each line in order", () => {
  const log = createFakeLog();

  log.warn("first", { code: "X" });
  log.debug("second");

  expect(log.lines).toEqual([
    { level: "warn", message: "first", code: "X" },
    { level: "debug", message: "second" },
  ]);
  expect(log.messages).toEqual(["first", "second"]);
});
