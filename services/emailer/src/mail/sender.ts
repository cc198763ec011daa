import { parseAddress } from "@wellsent/contract";

/** A display name and an address. The name is empty where there is none. */
export interface Mailbox {
  name: string;
  /** In its normal form: see `parseAddress` of the contract. */
  address: string;
}

/** Characters of a display name, so that the header line stays below the 998 of RFC 5322 §2.1.1 in any encoding. */
const NAME_MAX = 200;
/** RFC 5322 §3.2.4: a quoted string, with a backslash before each quote and backslash in it. */
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;
const CONTROL = /\p{Cc}/u;

/**
 * Reads the text of `MAIL_FROM`: an address, or a display name and an address in angle brackets (RFC 5322 §3.4). Unlike
 * RFC 5322, an unquoted name is taken as it stands, with its commas, colons and parentheses. Returns the fault where the
 * text cannot be written exactly. The fault does not quote the text.
 */
export function parseSender(text: string): Mailbox | { fault: string } {
  const trimmed = text.trim();
  const open = trimmed.endsWith(">") ? trimmed.lastIndexOf("<") : -1;
  if (open < 0) {
    return withAddress("", trimmed);
  }
  const name = readName(trimmed.slice(0, open).trim());
  return typeof name === "string" ? withAddress(name, trimmed.slice(open + 1, -1)) : name;
}

/** The domain of a mailbox, in A-labels. */
export function domainOf({ address }: Mailbox): string {
  return address.slice(address.lastIndexOf("@") + 1);
}

function withAddress(name: string, given: string): Mailbox | { fault: string } {
  const address = parseAddress(given);
  if (typeof address === "string") return { name, address };
  return { fault: "must be an address, or a name with an address in angle brackets" };
}

function readName(given: string): string | { fault: string } {
  const quoted = QUOTED.exec(given)?.[1]?.replace(/\\(["\\])/g, "$1");
  const fault = quoted === undefined ? faultOfUnquoted(given) : undefined;
  if (fault !== undefined) return { fault };
  const name = quoted ?? given;
  return faultOfName(name) ?? name;
}

function faultOfUnquoted(name: string): string | undefined {
  if (/["\\]/.test(name)) {
    return 'must have its name in whole quotes, with a backslash before each " and \\ in it';
  }
  return /[<>]/.test(name) ? "must have one address in angle brackets" : undefined;
}

function faultOfName(name: string): { fault: string } | undefined {
  if (CONTROL.test(name) || !name.isWellFormed()) {
    return { fault: "must not have control characters or lone surrogates in its name" };
  }
  // Readers decode an encoded word (RFC 2047 §2) even between quotes.
  if (name.includes("=?")) {
    return { fault: "must have its name in UTF-8, not as an encoded word" };
  }
  if (/ {2}|^ | $/.test(name)) {
    return { fault: "must not have two blanks in a row, or outer blanks, in its name" };
  }
  return name.length > NAME_MAX
    ? { fault: `must not have more than ${NAME_MAX} characters in its name` }
    : undefined;
}
