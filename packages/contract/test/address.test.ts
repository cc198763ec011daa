import { describe, expect, it } from "@jest/globals";
import { addressSchema, parseAddress } from "../src/address.ts";

const label = (length: number) => "d".repeat(length);
/** 189 characters, so that 64 before the @ make 254. */
const LONGEST_DOMAIN = `${label(63)}.${label(63)}.${label(61)}`;

const INVALID = "must be an address such as name@example.com";
const LOCAL = "must have a valid name before the @";
const DOMAIN = "must have a valid domain after the @";
const SMTPUTF8 = "must not have letters outside ASCII before the @ (SMTPUTF8 is not supported)";
const IP_ADDRESS = "must have a domain after the @, not an IP address";
const LONG = "must not be longer than 254 characters";

describe("parseAddress", () => {
  it.each([
    ["a plain address", "name@example.com"],
    ["a tag", "name+tag@example.com"],
    ["dots between atoms", "a.b.c@example.com"],
    ["every character of an atom", "!#$%&'*+/=?^_`{|}~-@example.com"],
    ["a name that begins with a dash", "-name@example.com"],
    ["a name in capitals, which may matter to its host", "Name@example.com"],
    ["a host without a dot", "root@localhost"],
    ["dashes inside a label", "name@mail-1.example.com"],
    ["digits as a label", "name@1.2.3.4.example"],
    ["a domain in punycode", "name@xn--bcher-kva.example"],
    ["a quoted name with a space", '"a name"@example.com'],
    ["a quoted name with an @", '"a@b"@example.com'],
    ["a quoted name with escapes", String.raw`"a\"b\\c"@example.com`],
    ["an empty quoted name", '""@example.com'],
    ["a name of 64 characters", `${"a".repeat(64)}@example.com`],
    ["a name of 65 characters, beyond RFC 5321 §4.5.3.1.1", `${"a".repeat(65)}@example.com`],
    ["a quoted name of 65 characters", `"${"a".repeat(63)}"@example.com`],
    ["a name that fills the address", `${"a".repeat(250)}@b.c`],
    ["an underscore in the domain", "name@exa_mple.com"],
    ["an underscore at the ends of a label", "name@_dmarc_.example.com"],
    ["a label of 63 characters", `name@${label(63)}.com`],
    ["254 characters in all", `${"a".repeat(64)}@${LONGEST_DOMAIN}`],
  ])("takes %s as it is", (_, address) => {
    expect(parseAddress(address)).toBe(address);
  });

  it.each([
    ["capitals in the domain", "name@EXAMPLE.Com", "name@example.com"],
    ["an umlaut", "name@bücher.example", "name@xn--bcher-kva.example"],
    ["an umlaut in capitals", "name@BÜCHER.example", "name@xn--bcher-kva.example"],
    ["a decomposed umlaut", "name@bu\u0308cher.example", "name@xn--bcher-kva.example"],
    ["a sharp s", "name@faß.example", "name@xn--fa-hia.example"],
    ["Japanese", "name@例え.jp", "name@xn--r8jz45g.jp"],
    ["an ideographic full stop", "name@mail。example", "name@mail.example"],
    ["a fullwidth domain", "name@ｅｘａｍｐｌｅ.com", "name@example.com"],
  ])("normalises a domain with %s", (_, address, normal) => {
    expect(parseAddress(address)).toBe(normal);
  });

  it.each([
    ["two dots", "na..me@example.com", '"na..me"@example.com'],
    ["a dot first", ".name@example.com", '".name"@example.com'],
    ["a dot last", "name.@example.com", '"name."@example.com'],
    ["only a dot", ".@example.com", '"."@example.com'],
  ])("quotes a name with %s, as RFC 5321 writes that mailbox", (_, address, normal) => {
    expect(parseAddress(address)).toBe(normal);
    expect(parseAddress(normal)).toBe(normal);
  });

  it("keeps an address in normal form as it is", () => {
    const normal = "Name@xn--bcher-kva.example";

    expect(parseAddress("Name@BÜCHER.Example")).toBe(normal);
    expect(parseAddress(normal)).toBe(normal);
  });

  it.each([
    ["empty text", "", INVALID],
    ["no @", "name", INVALID],
    ["a fullwidth @", "name＠example.com", INVALID],
    ["nothing before the @", "@example.com", INVALID],
    ["nothing after the @", "name@", DOMAIN],
    ["a space in the name", "a name@example.com", LOCAL],
    ["a space before the name", " name@example.com", LOCAL],
    ["a space after the domain", "name@example.com ", DOMAIN],
    ["two @", "a@b@example.com", LOCAL],
    ["a display name", "Name <name@example.com>", LOCAL],
    ["angle brackets", "<name@example.com>", LOCAL],
    ["a list", "a@example.com,b@example.com", LOCAL],
    ["a list with semicolons", "a@example.com;b@example.com", LOCAL],
    ["a comment", "name(comment)@example.com", LOCAL],
    ["a user and password", "user:secret@name@example.com", LOCAL],
    ["an open quote", '"name@example.com', LOCAL],
    ["a quote inside", 'na"me@example.com', LOCAL],
    ["a bare quote in quotes", '"a"b"@example.com', LOCAL],
    ["a quoted name that ends in a backslash", '"name\\"@example.com', LOCAL],
    ["a quoted name beside an atom", '"a".b@example.com', LOCAL],
    ["a dot first in the domain", "name@.example.com", DOMAIN],
    ["a dot last in the domain", "name@example.com.", DOMAIN],
    ["two dots in the domain", "name@example..com", DOMAIN],
    ["a label that begins with a dash", "name@-example.com", DOMAIN],
    ["a label that ends with a dash", "name@example-.com", DOMAIN],
    ["a port", "name@example.com:25", DOMAIN],
    ["a path", "name@example.com/x", DOMAIN],
    ["a backslash", "name@example.com\\x", DOMAIN],
    ["a query", "name@example.com?x", DOMAIN],
    ["a fragment", "name@example.com#x", DOMAIN],
    ["a percent sign", "name@ex%61mple.com", DOMAIN],
    ["an angle bracket at the end", "name@example.com>", DOMAIN],
    ["a lone surrogate in the domain", "name@\ud800.com", DOMAIN],
    ["an address literal", "name@[192.0.2.1]", IP_ADDRESS],
    ["an address literal of IPv6", "name@[IPv6:2001:db8::1]", IP_ADDRESS],
    ["a bare IPv4 address", "name@192.0.2.1", IP_ADDRESS],
    ["a hexadecimal IPv4 address", "name@0x7f.1", IP_ADDRESS],
    ["an octal IPv4 address", "name@0177.0.0.1", IP_ADDRESS],
    ["an IPv4 address as one number", "name@2130706433", IP_ADDRESS],
    ["a single digit, which is one too", "name@1", IP_ADDRESS],
    ["an IPv4 address in fullwidth digits", "name@１２７.0.0.1", IP_ADDRESS],
    ["a number as the last label", "name@example.1", DOMAIN],
    ["a hexadecimal number as the last label", "name@example.0x4", DOMAIN],
    ["a label of 64 characters", `name@${label(64)}.com`, DOMAIN],
    ["a label that is too long in punycode", `name@${"ü".repeat(60)}.com`, DOMAIN],
    ["255 characters in all", `${"a".repeat(64)}@${LONGEST_DOMAIN}d`, LONG],
    ["a megabyte", `name@${"ü".repeat(500_000)}.com`, DOMAIN],
  ])("refuses %s", (_, address, fault) => {
    expect(parseAddress(address)).toStrictEqual({ fault });
  });

  it.each([
    ["an umlaut", "grüße@example.com"],
    ["Chinese", "名字@example.com"],
    ["an emoji", "😀@example.com"],
    ["a quoted umlaut", '"ü"@example.com'],
    ["a no-break space", "a\u00a0b@example.com"],
    ["a lone surrogate", "\ud800@example.com"],
  ])("refuses a name with %s and says that SMTPUTF8 is why", (_, address) => {
    expect(parseAddress(address)).toStrictEqual({ fault: SMTPUTF8 });
  });

  it.each([
    ["CR LF and a header before the @", "name\r\nBcc: x@example.com"],
    ["CR LF and a header after the domain", "name@example.com\r\nBcc: x"],
    ["CR LF and a header with an address", "name@example.com\r\nBcc: other@example.com"],
    ["CR LF inside quotes", '"na\r\nme"@example.com'],
    ["an escaped CR LF inside quotes", '"na\\\r\\\nme"@example.com'],
    ["a LF at the end", "name@example.com\n"],
    ["a LF inside the domain", "name@exam\nple.com"],
    ["a CR inside the domain", "name@exam\rple.com"],
    ["a tab inside the domain", "name@exam\tple.com"],
    ["a tab in the name", "na\tme@example.com"],
    ["a tab in a quoted name", '"na\tme"@example.com'],
    ["a NUL in the name", "na\0me@example.com"],
    ["a NUL in the domain", "name@exam\0ple.com"],
    ["a DEL in the domain", "name@exam\x7fple.com"],
    ["a line separator in the domain", "name@exam\u2028ple.com"],
    ["an SMTP command", "name@example.com> SIZE=1\r\nRCPT TO:<x@example.com"],
  ])("refuses an injection by %s", (_, address) => {
    expect(parseAddress(address)).toStrictEqual({ fault: expect.any(String) });
  });

  it.each(["secret name@example.com", "secret@exa%mple.com", `secret@${"d".repeat(300)}`])(
    "never quotes the address in the fault",
    (address) => {
      expect(JSON.stringify(parseAddress(address))).not.toContain("secret");
    },
  );
});

describe("addressSchema", () => {
  it("returns the normal form", () => {
    expect(addressSchema.parse("name@BÜCHER.example")).toBe("name@xn--bcher-kva.example");
  });

  it("has the fault as its message", () => {
    const { error } = addressSchema.safeParse("name@192.0.2.1");

    expect(error?.issues).toMatchObject([{ code: "custom", message: IP_ADDRESS }]);
  });

  it.each([[null], [1], [["name@example.com"]], [{ address: "name@example.com" }]])(
    "refuses %j, which is not a string",
    (value) => {
      expect(addressSchema.safeParse(value).success).toBe(false);
    },
  );
});
