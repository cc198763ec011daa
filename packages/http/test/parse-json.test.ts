import { describe, expect, it } from "@jest/globals";
import { parseJson } from "../src/parse-json.ts";

const parse = (text: string) => parseJson(Buffer.from(text), 10_000);
const refusal = (text: string | Buffer) => {
  try {
    return { value: parseJson(Buffer.from(text), 10_000) };
  } catch (error) {
    return error;
  }
};

describe("parseJson", () => {
  it.each([
    "{}",
    "[]",
    '"{,:[\\""',
    '{"a":{"a":1},"b":[{"a":1},{"a":2}],"__proto__":1}',
    '{"a:b,c":"d:e"}',
    '{"é":"\\u007b","\\"":1}',
  ])("reads %s", (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ["lists", `[${"0,".repeat(10_000)}0]`],
    ["empty objects", `{"toaddr":[${"{},".repeat(2_000_000)}{}]}`],
    ["empty lists", `[${"[],".repeat(5_001)}[]]`],
    ["members", `{${Array.from({ length: 10_001 }, (_, n) => `"${n}":0`).join()}}`],
    ["values without an end", "[0,".repeat(31) + "0,".repeat(3_000_000)],
  ])("refuses too many values before it parses them: %s", (_what, text) => {
    expect(refusal(text)).toMatchObject({ code: "JSON_TOO_MANY_VALUES" });
  });

  it("reads more values than an email can have", () => {
    expect(parse(`[${"0,".repeat(9_998)}0]`)).toHaveLength(9_999);
  });

  it.each([
    ['{"a":1,"a":1}', "a"],
    ['{"a":[{"b":1},{"b":1,"c":2,"\\u0062":3}]}', "b"],
    ['{"toaddr":"a@b.c","subject":"","body":"","toaddr":"x@y.z"}', "toaddr"],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    [`{"${"x".repeat(200)}":1,"${"x".repeat(200)}":2}`, "x".repeat(100)],
  ])("refuses %s, which readers understand differently, and names the member", (text, field) => {
    const { format } = refusal(text) as { format: (id: string) => { text: string } };

    expect(refusal(text)).toMatchObject({ code: "JSON_MEMBER_REPEATED" });
    expect(JSON.parse(format.call(refusal(text), "id").text)).toMatchObject({
      errors: [{ field, reason: "is repeated" }],
    });
  });

  it.each([
    ["a number of six million digits", "9".repeat(6_000_000)],
    ["an exponent beyond any number", "1e999999999"],
    ["a key of six million characters", `{"${"k".repeat(6_000_000)}":1}`],
  ])("reads %s", (_what, text) => {
    expect(refusal(text)).toHaveProperty("value");
  });
});
