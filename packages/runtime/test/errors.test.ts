import { describe, expect, it } from "@jest/globals";
import {
  AppError,
  codeOf,
  ConfigError,
  PublishRefused,
  PublishUnknown,
  TransientError,
} from "../src/errors.ts";

describe("AppError", () => {
  it.each([ConfigError, TransientError, PublishRefused, PublishUnknown])(
    "is extended by a class that carries its own name",
    (Class) => {
      const cause = new Error("cause");
      const error = new Class("SOME_CODE", "message", { cause });

      expect(error).toBeInstanceOf(AppError);
      expect(error).toMatchObject({
        name: Class.name,
        code: "SOME_CODE",
        message: "message",
        cause,
      });
    },
  );

  it.each([PublishRefused, PublishUnknown])("lets a failed publish be tried again", (Class) => {
    expect(new Class("SOME_CODE", "message")).toBeInstanceOf(TransientError);
  });
});

describe("codeOf", () => {
  it.each([
    ["an error of ours", new ConfigError("SOME_CODE", "text"), "SOME_CODE"],
    ["a system error", Object.assign(new Error("text"), { code: "EPIPE" }), "EPIPE"],
    ["a reply code", Object.assign(new Error("text"), { code: 406 }), "406"],
    ["an error without a code", new Error("text"), "UNEXPECTED"],
    ["a code that is an object", Object.assign(new Error("text"), { code: {} }), "UNEXPECTED"],
    ["text", "SOME_CODE", "UNEXPECTED"],
    ["undefined", undefined, "UNEXPECTED"],
    ["an object that is not an error", { code: "SOME_CODE" }, "UNEXPECTED"],
  ])("gives the code of %s", (_, error, code) => {
    expect(codeOf(error)).toBe(code);
  });
});
