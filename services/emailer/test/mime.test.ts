import { describe, expect, it } from "@jest/globals";
import { newId } from "@wellsent/contract";
import { toMail } from "../src/mail/mime.ts";
import { headerOf, mailWith, written } from "./composed.ts";

const from = { name: "Bücher", address: "post@xn--bcher-kva.example" };
const sender = { from, envelopeFrom: "bounces@horn.example" };
const email = { toaddr: "reader@example.com", subject: "Subject", body: "Text" };

describe("toMail", () => {
  it("is the same at each attempt", () => {
    const id = newId();

    expect(toMail(id, email, "reader@example.com", sender)).toEqual(
      toMail(id, email, "reader@example.com", sender),
    );
  });

  it("writes the Message-ID in ASCII when the sender's domain is internationalised", async () => {
    const id = newId();
    const header = headerOf(await written(toMail(id, email, "reader@example.com", sender)));

    expect(header).toContain(`Message-ID: <${id}@xn--bcher-kva.example>`);
    expect(header.join("\n")).toMatch(/^[\x20-\x7e\n]*$/);
  });
});

describe("the header To", () => {
  it.each([
    '" a"@example.com',
    '"a "@example.com',
    '" "@example.com',
    '""@example.com',
    '"a,b"@example.com',
    '"a;b: c"@example.com',
    '"a(b)c"@example.com',
    String.raw`"a\"b\\c"@example.com`,
    '"a@b"@example.com',
    "a'b@example.com",
    "!#$%&'*+/=?^_`{|}~-@example.com",
  ])("names the very mailbox %s", async (address) => {
    const header = headerOf(await written(mailWith({ to: ["first@example.com", address] })));

    expect(header.find((line) => line.startsWith("To: "))?.replace(/[<>]/g, "")).toBe(
      `To: first@example.com, ${address}`,
    );
  });
});
