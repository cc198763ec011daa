import { createHmac } from "node:crypto";
import type { AuditLine } from "./line.ts";
import type { Config } from "../config.ts";

/** Of the 256 bits that HMAC-SHA-256 gives: enough that no two addresses ever meet. */
const HASH_HEX_DIGITS = 32;
/** Whatever holds an @, in a subject. */
const ADDRESS = /[^\s<>()"',;:]*@[^\s<>()"',;:!?]*/g;
/** A reply's code and enhanced status (RFC 3463 §2). */
const STATUS = /^[2-5]\d\d(?=[\s-]|$)(?:[ -]\d\.\d{1,3}\.\d{1,3}(?=\s|$))?/;

/** Options of {@link createRedaction}. */
export type RedactionOptions = Config["redaction"];

/**
 * Creates what takes out of the record what is not to stand there. A hashed address is two hashes with a dot between: of
 * the address, and of its domain.
 */
export function createRedaction({ recipients, subject, hashKey }: RedactionOptions) {
  const hidesAddresses = recipients === "hashed";
  const hidesSubjects = subject === "omitted";
  const hash = (text: string) => {
    const hmac = createHmac("sha256", hashKey).update(text.toLowerCase());
    return hmac.digest("hex").slice(0, HASH_HEX_DIGITS);
  };
  const hashed = (address: string | null) =>
    address && `${hash(address)}.${hash(address.slice(address.lastIndexOf("@") + 1))}`;
  /** A relay may quote an address or a subject in any part and any encoding, so of its text nothing is kept; without one it is ours. */
  const mayQuote = ({ relay }: AuditLine) => relay !== null && (hidesAddresses || hidesSubjects);
  return {
    /** The line as it may be kept and shown. */
    line: (line: AuditLine): AuditLine => ({
      ...line,
      ...(hidesAddresses && {
        recipient: hashed(line.recipient),
        from: hashed(line.from),
        subject: line.subject?.replace(ADDRESS, "[hidden]") ?? null,
      }),
      ...(hidesSubjects && { subject: null }),
      ...(mayQuote(line) && { reply: STATUS.exec(line.reply ?? "")?.[0] ?? null }),
    }),
    /** What the recipients of a domain end in, as they are kept. */
    ending: (domain: string): string => (hidesAddresses ? `.${hash(domain)}` : `@${domain}`),
  };
}
