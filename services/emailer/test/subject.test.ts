import { describe, expect, it } from "@jest/globals";
import { headerOf, mailWith, parsed, written } from "./composed.ts";

const BLANKS = " ".repeat(70);

describe("a subject", () => {
  it.each([
    "  outer blanks  ",
    "=?utf-8?Q?not_encoded?=",
    "before =?utf-8?B?aGk=?= after, and é",
    "a".repeat(998),
    `${"é".repeat(498)} 📯`,
    `${"long".repeat(40)} and short`,
    "an ordinary one, with  two blanks",
    "tabs are refused before; quotes \" and ' are not",
    "Zurück 📯 = ?=",
    `before${BLANKS}after`,
    `before${BLANKS}${BLANKS}${BLANKS}after`,
    `é${BLANKS}${BLANKS}é`,
    `${"word ".repeat(20)}${BLANKS.repeat(3)}end`,
    "no-break\u00a0space, line\u2028and paragraph\u2029separators",
    "",
  ])("reaches its reader as it was given: %j", async (subject) => {
    const message = await written(mailWith({ subject }));

    expect((await parsed(message)).subject ?? "").toBe(subject);
    const lines = headerOf(message);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect(lines.filter((line) => line.trim() === "")).toEqual([]);
  });
});
