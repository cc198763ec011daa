import { createHmac } from "node:crypto";
import type { AuditLine } from "./audit-line.ts";

/** Of the 256 bits that HMAC-SHA-256 gives: enough that no two addresses ever meet. */
const HASH_HEX_DIGITS = 32;
const HIDDEN = "[hidden]";
/** A run of so many characters that a reply shares with a subject is a quotation of it. */
const QUOTATION_MIN = 8;
/** Shorter ones would take every "a" out of a reply. */
const LOCAL_PART_MIN = 3;
/** Whatever holds an @, also as it is written in a variable envelope return path or in a URL. */
const ADDRESS = String.raw`[^\s<>()"',;:]*(?:@|=40|%40)[^\s<>()"',;:]*`;
/** RFC 2047 §2: how a subject that is not ASCII travels. */
const ENCODED_WORD = /=\?[^?\s]+\?[bq]\?[^?\s]*\?=/gi;

/** Options of {@link createRedaction}. */
export interface RedactionOptions {
  recipients: "plain" | "hashed";
  subject: "plain" | "omitted";
  /** Of the hashes; who has it can find an address again, nobody else can. */
  hashKey: string;
}

/** Takes out of the record what is not to stand there. */
export interface Redaction {
  /** The line as it may be kept and shown. */
  line: (line: AuditLine) => AuditLine;
  /** What the recipients of a domain end in, as they are kept. */
  ending: (domain: string) => string;
}

/** Creates the redaction. A hashed address is two hashes with a dot between: of the address, and of its domain. */
export function createRedaction({ recipients, subject, hashKey }: RedactionOptions): Redaction {
  const hash = (text: string) =>
    createHmac("sha256", hashKey)
      .update(text.toLowerCase())
      .digest("hex")
      .slice(0, HASH_HEX_DIGITS);
  const hashed = (address: string) => `${hash(address)}.${hash(domainOf(address))}`;
  // n.b. a part of an address, such as `ada` in "no such user: ada", has no hash that could be found again.
  const conceal = (found: string) => (found.includes("@") ? hashed(found) : HIDDEN);
  const withoutAddresses = (line: AuditLine): AuditLine => ({
    ...line,
    recipient: line.recipient && hashed(line.recipient),
    from: line.from && hashed(line.from),
    subject: line.subject?.replace(addressesOf(line), conceal) ?? null,
    reply: line.reply?.replace(addressesOf(line), conceal) ?? null,
  });
  const keep = (line: AuditLine) => line;
  const first = subject === "omitted" ? withoutSubject : keep;
  const second = recipients === "hashed" ? withoutAddresses : keep;
  return {
    line: (line) => second(first(line)),
    ending: (domain) => (recipients === "hashed" ? `.${hash(domain)}` : `@${domain}`),
  };
}

/** Finds addresses in a text: the line's own, also in parts, and whatever else looks like one. */
function addressesOf({ recipient, from }: AuditLine): RegExp {
  const known = [recipient, from].filter((address) => address !== null);
  const locals = known.map((address) => address.slice(0, address.lastIndexOf("@")));
  const parts = [...locals.filter(({ length }) => length >= LOCAL_PART_MIN), domainOf(recipient)];
  const words = parts.filter((part) => part !== "").map(asWord);
  return new RegExp(
    [...known.map((address) => RegExp.escape(address)), ADDRESS, ...words].join("|"),
    "giu",
  );
}

function withoutSubject(line: AuditLine): AuditLine {
  const { subject, reply } = line;
  const told = reply?.replace(ENCODED_WORD, HIDDEN) ?? null;
  return { ...line, subject: null, reply: told && withoutQuotations(told, subject?.trim() ?? "") };
}

function withoutQuotations(reply: string, subject: string): string {
  if (subject === "") return reply;
  let told = reply.replace(new RegExp(asWord(subject), "giu"), HIDDEN);
  for (let begin = 0; begin + QUOTATION_MIN <= told.length; begin++) {
    let end = begin + QUOTATION_MIN;
    if (!subject.includes(told.slice(begin, end))) continue;
    while (end < told.length && subject.includes(told.slice(begin, end + 1))) end++;
    told = told.slice(0, begin) + HIDDEN + told.slice(end);
    begin += HIDDEN.length - 1;
  }
  return told;
}

function domainOf(address: string | null): string {
  return address?.slice(address.lastIndexOf("@") + 1) ?? "";
}

function asWord(text: string): string {
  return String.raw`(?<![\p{L}\p{N}])${RegExp.escape(text)}(?![\p{L}\p{N}])`;
}
