import { describe, expect, it } from "@jest/globals";
import { simpleParser } from "mailparser";
import { createTransport } from "nodemailer";
import { subjectOf } from "../src/mail/mime.ts";

const transport = createTransport({ streamTransport: true, buffer: true });

describe("subjectOf", () => {
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
    "",
  ])("has the reader see %j as it was given", async (subject) => {
    const addresses = { from: "a@example.com", to: "b@example.com" };
    const { message } = await transport.sendMail({ ...addresses, ...subjectOf({ subject }) });
    const bytes = message as Buffer;

    expect((await simpleParser(bytes)).subject ?? "").toBe(subject);
    const lines = bytes.toString("latin1").split("\r\n");
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
  });
});
