import { describe, expect, it } from "@jest/globals";
import { parseSender } from "../src/mail/sender.ts";
import { headerOf, mailWith, parsed, written } from "./composed.ts";

const ADDRESS = "must be an address, or a name with an address in angle brackets";

describe("parseSender", () => {
  it.each([
    ["post@horn.example", "", "post@horn.example"],
    ["  post@horn.example ", "", "post@horn.example"],
    ["<post@horn.example>", "", "post@horn.example"],
    ["Ada Lovelace <post@horn.example>", "Ada Lovelace", "post@horn.example"],
    ["Ada Lovelace<post@horn.example>", "Ada Lovelace", "post@horn.example"],
    ['"Ada Lovelace" <post@horn.example>', "Ada Lovelace", "post@horn.example"],
    ["Team: Sales <post@horn.example>", "Team: Sales", "post@horn.example"],
    ["Team: Sales; <post@horn.example>", "Team: Sales;", "post@horn.example"],
    ["Acme (Support) <post@horn.example>", "Acme (Support)", "post@horn.example"],
    ["Acme; Sales <post@horn.example>", "Acme; Sales", "post@horn.example"],
    ["Acme, Inc. <post@horn.example>", "Acme, Inc.", "post@horn.example"],
    ["Ada @ Acme <post@horn.example>", "Ada @ Acme", "post@horn.example"],
    ["ada@horn.example <post@horn.example>", "ada@horn.example", "post@horn.example"],
    ["[Acme] <post@horn.example>", "[Acme]", "post@horn.example"],
    ["O'Hara <post@horn.example>", "O'Hara", "post@horn.example"],
    [
      String.raw`"The \"Acme\" \\ Co" <post@horn.example>`,
      String.raw`The "Acme" \ Co`,
      "post@horn.example",
    ],
    ["Zürich 📯 <post@horn.example>", "Zürich 📯", "post@horn.example"],
    ["株式会社 <post@horn.example>", "株式会社", "post@horn.example"],
    ["Bücher <post@bücher.example>", "Bücher", "post@xn--bcher-kva.example"],
    ['Ada <"ada l"@horn.example>', "Ada", '"ada l"@horn.example'],
    ['Ada <" ada "@horn.example>', "Ada", '" ada "@horn.example'],
    ["=) <post@horn.example>", "=)", "post@horn.example"],
  ])("takes %j, and a mail program reads what was configured", async (text, name, address) => {
    expect(parseSender(text)).toEqual({ name, address });

    const message = await written(mailWith({ from: { name, address } }));
    const from = (await parsed(message)).from;
    expect(from?.value).toHaveLength(1);
    expect(from?.value[0]?.name).toBe(name);
    expect(headerOf(message).join("\n")).toContain(address);
  });

  it.each([
    ["nothing", "", ADDRESS],
    ["a name alone", "Ada", ADDRESS],
    ["two addresses", "a@horn.example, b@horn.example", ADDRESS],
    ["a group", "Team: a@horn.example;", ADDRESS],
    ["an open angle bracket", "Ada <a@horn.example", ADDRESS],
    [
      "two addresses in brackets",
      "<a@horn.example> <b@horn.example>",
      "must have one address in angle brackets",
    ],
    [
      "an open quote",
      '"Ada <a@horn.example>',
      'must have its name in whole quotes, with a backslash before each " and \\ in it',
    ],
    [
      "a quote inside the name",
      'Ada "L" <a@horn.example>',
      'must have its name in whole quotes, with a backslash before each " and \\ in it',
    ],
    [
      "a quote that ends early",
      '"Ada"L" <a@horn.example>',
      'must have its name in whole quotes, with a backslash before each " and \\ in it',
    ],
    [
      "a bare backslash",
      "Ada \\ L <a@horn.example>",
      'must have its name in whole quotes, with a backslash before each " and \\ in it',
    ],
    [
      "a line break",
      "Ada\r\nBcc: eve@example.com <a@horn.example>",
      "must not have control characters or lone surrogates in its name",
    ],
    [
      "a tab",
      "Ada\tL <a@horn.example>",
      "must not have control characters or lone surrogates in its name",
    ],
    [
      "a lone surrogate",
      "Ada \ud800 <a@horn.example>",
      "must not have control characters or lone surrogates in its name",
    ],
    [
      "an encoded word",
      "=?UTF-8?Q?Ada?= <a@horn.example>",
      "must have its name in UTF-8, not as an encoded word",
    ],
    [
      "two blanks in a row",
      "Ada  L <a@horn.example>",
      "must not have two blanks in a row, or outer blanks, in its name",
    ],
    [
      "outer blanks in quotes",
      '" Ada" <a@horn.example>',
      "must not have two blanks in a row, or outer blanks, in its name",
    ],
    [
      "a name of 201 characters",
      `${"a".repeat(201)} <a@horn.example>`,
      "must not have more than 200 characters in its name",
    ],
    ["an address that no relay takes", "Ada <a@horn..example>", ADDRESS],
    ["letters outside ASCII before the @", "Ada <ä@horn.example>", ADDRESS],
  ])("refuses %s by its fault", (_, text, fault) => {
    expect(parseSender(text)).toEqual({ fault });
  });

  it("writes every character of a name so that it is read again", async () => {
    const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
    for (const character of [...printable, "é", "\u2028", "\u2029", "\u00a0", "\u200f", "📯"]) {
      for (const name of [
        `a${character}b`,
        `${character}${character}`.trim(),
        `a ${character} b`,
      ]) {
        const text = `"${name.replace(/["\\]/g, "\\$&")}" <post@horn.example>`;
        const mailbox = parseSender(text);
        if ("fault" in mailbox) continue;
        const from = (await parsed(await written(mailWith({ from: mailbox })))).from;
        expect(from?.value).toEqual([{ name, address: "post@horn.example" }]);
      }
    }
  });
});
