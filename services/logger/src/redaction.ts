import { createHmac } from "node:crypto";
import type { AuditLine } from "./audit-line.ts";

/** Of the 256 bits that HMAC-SHA-256 gives: enough that no two addresses ever meet. */
const HASH_HEX_DIGITS = 32;
/** Whatever holds an @, in a subject. */
const ADDRESS = /[^\s<>()"',;:]*@[^\s<>()"',;:!?]*/g;
/** A reply's code and enhanced status (RFC 3463 §2). */
const STATUS = /^[2-5]\d\d(?=[\s-]|$)(?:[ -]\d\.\d{1,3}\.\d{1,3}(?=\s|$))?/;

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
  const hashed = (address: string | null) =>
    address && `${hash(address)}.${hash(address.slice(address.lastIndexOf("@") + 1))}`;
  const withoutAddresses = (line: AuditLine): AuditLine => ({
    ...withoutQuotations(line),
    recipient: hashed(line.recipient),
    from: hashed(line.from),
    subject: line.subject?.replace(ADDRESS, "[hidden]") ?? null,
  });
  const withoutSubject = (line: AuditLine) => ({ ...withoutQuotations(line), subject: null });
  const keep = (line: AuditLine) => line;
  const first = recipients === "hashed" ? withoutAddresses : keep;
  const second = subject === "omitted" ? withoutSubject : keep;
  return {
    line: (line) => second(first(line)),
    ending: (domain) => (recipients === "hashed" ? `.${hash(domain)}` : `@${domain}`),
  };
}

/** A relay may quote an address or a subject in any part and any encoding, so of its text nothing is kept; without one it is ours. */
function withoutQuotations(line: AuditLine): AuditLine {
  const { relay, reply } = line;
  return relay === null ? line : { ...line, reply: STATUS.exec(reply ?? "")?.[0] ?? null };
}
