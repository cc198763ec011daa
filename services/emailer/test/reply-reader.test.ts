import { describe, expect, it } from "@jest/globals";
import { ReplyReader } from "../src/relay/reply-reader.ts";

const read = (...chunks: (string | Buffer)[]) => {
  const reader = new ReplyReader();
  return chunks.flatMap((chunk) => reader.push(Buffer.from(chunk)));
};

describe("ReplyReader", () => {
  it.each([
    ["a line", "250 ok\r\n", [[250, "250 ok"]]],
    ["a line that ends with a line feed only", "250 ok\n", [[250, "250 ok"]]],
    ["a code alone", "250\r\n", [[250, "250"]]],
    ["a code and a blank", "250 \r\n", [[250, "250 "]]],
    [
      "several lines",
      "250-one\r\n250-two\r\n250 three\r\n",
      [[250, "250-one\n250-two\n250 three"]],
    ],
    ["lines with different codes", "250-one\r\n550 two\r\n", [[550, "250-one\n550 two"]]],
    [
      "two replies",
      "250 one\r\n550 two\r\n",
      [
        [250, "250 one"],
        [550, "550 two"],
      ],
    ],
    ["a line without a code", "hello\r\n", [[0, "hello"]]],
    ["a short code", "55 short\r\n", [[0, "55 short"]]],
    ["a long code", "5500 long\r\n", [[0, "5500 long"]]],
    ["a code with a colon", "550: unknown\r\n", [[0, "550: unknown"]]],
    ["a status alone", "5.1.1 unknown\r\n", [[0, "5.1.1 unknown"]]],
    ["digits that are none of ASCII", "２５０ ok\r\n", [[0, "２５０ ok"]]],
    [
      "a line without a code before a reply",
      "hello\r\n250 ok\r\n",
      [
        [0, "hello"],
        [250, "250 ok"],
      ],
    ],
    [
      "a line without a code in a reply",
      "250-one\r\nhello\r\n250 ok\r\n",
      [[250, "250-one\nhello\n250 ok"]],
    ],
    ["empty lines", "\r\n \r\n250 ok\r\n\r\n", [[250, "250 ok"]]],
    ["an unfinished line", "250 ok", []],
    ["an unfinished reply", "250-ok\r\n", []],
    ["a carriage return within a line", "250 o\rk\r\n", [[250, "250 o\rk"]]],
  ])("reads %s", (_, text, replies) => {
    expect(read(text).map(({ code, text }) => [code, text])).toEqual(replies);
  });

  it("reads the same however the bytes are cut", () => {
    const bytes = Buffer.from("250-größe ✓\r\n250 two\r\n550 5.1.1 nö\r\n");
    const whole = read(bytes);
    const everyByte = read(...Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)));

    expect(whole).toHaveLength(2);
    expect(everyByte).toEqual(whole);
    for (let at = 1; at < bytes.length; at += 1) {
      expect(read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(whole);
    }
  });

  it.each([
    ["line without an end", "x".repeat(65_537)],
    ["reply without an end", "250-x\r\n".repeat(20_000)],
  ])("finds a %s too long, and an ordinary one not", (_, text) => {
    const reader = new ReplyReader();
    reader.push(Buffer.from("250-x\r\n"));
    expect(reader.isTooLong).toBe(false);

    reader.push(Buffer.from(text));

    expect(reader.isTooLong).toBe(true);
  });

  it.each([
    ["nothing", "", false],
    ["a whole reply", "220 go\r\n", false],
    ["a part of a line", "250 injec", true],
    ["a part of a reply", "250-injected\r\n", true],
  ])("forgets %s and says whether there was anything", (_, text, had) => {
    const reader = new ReplyReader();
    reader.push(Buffer.from(text));

    expect(reader.reset()).toBe(had);
    expect(reader.push(Buffer.from("250 ok\r\n"))).toEqual([{ code: 250, text: "250 ok" }]);
  });
});
