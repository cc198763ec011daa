import { beforeAll, describe, expect, it } from "@jest/globals";
import { describe as describeError } from "../src/log.ts";
import { TransientError } from "../src/errors.ts";
import { linesOf, messagesOf, runProgram } from "./support/run-program.ts";

describe("createLogger", () => {
  let json: string;
  let pretty: string;

  beforeAll(async () => {
    json = (await runProgram("logs", "json").ended).stdout;
    pretty = (await runProgram("logs", "pretty").ended).stdout;
  });

  it("writes one JSON object a line with time, level, service and fields", () => {
    expect(linesOf(json)[1]).toStrictEqual({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: "info",
      service: "logs",
      message: "an event",
      count: 3,
      flag: true,
    });
  });

  it("keeps a field with line breaks on one line", () => {
    expect(linesOf(json)[2]).toHaveProperty("text", 'quotes " and\nlines');
  });

  it("writes readable lines in the format pretty", () => {
    expect(pretty.split("\n")[1]).toMatch(
      /\d\d:\d\d:\d\d\.\d{3} .*info.* logs an event count=3 flag=true/,
    );
  });

  it("omits lines below its level", async () => {
    const { stdout } = await runProgram("logs", "json", "warn").ended;

    expect(messagesOf(stdout).slice(0, 2)).toStrictEqual(["a warning", "foreign"]);
  });

  it("prints the message of no error, in either format", () => {
    expect(json + pretty).not.toContain("secret");
  });

  it("logs the allowed fields of each error", () => {
    const foreign = { code: "UNEXPECTED", stack: expect.stringContaining("logs.ts") };

    expect(linesOf(json).slice(3)).toMatchObject([
      { message: "foreign", error: "TypeError", ...foreign },
      { message: "with a cause", error: "Error", ...foreign },
      { message: "with a code", code: "ECONNREFUSED" },
      { message: "with a number", code: "320" },
      { message: "ours", code: "SOME_CODE" },
      { message: "no error", code: "UNEXPECTED" },
      { message: "nothing", code: "UNEXPECTED" },
    ]);
  });
});

describe("fields of an error", () => {
  it("returns only the code of an error that has one", () => {
    expect(describeError(new TransientError("SOME_CODE", "text"))).toStrictEqual({
      code: "SOME_CODE",
    });
  });

  it("returns the frames of the stack without the message before them", () => {
    const error = new Error("a\n    at secret@example.com (secret)");

    const { stack } = describeError(error);

    expect(stack).toMatch(/log\.test\.ts/);
    expect(stack).not.toContain("secret");
  });

  it.each([[undefined], [null], ["text"], [7], [{ code: "SOME_CODE" }]])(
    "gives nothing of %j, which is no error",
    (thrown) => {
      expect(describeError(thrown)).toStrictEqual({ code: "UNEXPECTED" });
    },
  );
});
