import { domainToASCII } from "node:url";
import * as z from "zod";

/** RFC 5321 §4.5.3.1.3 allows a path of 256 octets; less the angle brackets, an address has 254. */
const ADDRESS_MAX = 254;
/** RFC 5322 §3.2.3: atoms with dots between them. */
const DOT_ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
/** Some carriers have mailboxes with dots at the ends or in a row. RFC 5321 §4.1.2 requires quotes around these local parts. */
const LOOSE_DOTS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+$/;
/**
 * RFC 5321 §4.1.2: a quoted local part of printable ASCII. Angle brackets are not accepted, because SMTP clients confuse them
 * with the brackets around the path.
 */
const QUOTED_STRING = /^"([ !#-;=?-[\]-~]|\\[ -;=?-~])*"$/;
/**
 * RFC 1035 §2.3.4 allows 63 octets a label, RFC 5321 §4.5.3.1.2 allows 255 a domain. A host name has no underscore,
 * but domains with one receive mail, and Postfix accepts them too.
 */
const DOMAIN =
  /^(?=.{1,255}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

const ALL_NUMERIC = /^[\d.]+$/;
/** Characters that end or change the host of a URL. `domainToASCII` parses its argument as a host. */
// eslint-disable-next-line no-control-regex -- the pattern matches control characters
const FOREIGN = /[\s%/\\:?#[\]@\u0000-\u001f\u007f]/;

/**
 * An email address as RFC 5321 §4.1.2 writes a mailbox, without a display name. The output is its normal form: see
 * {@link parseAddress}.
 */
export const addressSchema = z.string().transform((address, context) => {
  const parsed = parseAddress(address);
  if (typeof parsed === "string") return parsed;
  context.addIssue({ code: "custom", message: parsed.fault });
  return z.NEVER;
});

/** A domain in the form of {@link parseAddress}: in lower case, with A-labels if it is internationalised. */
export const domainSchema = z
  .string()
  .refine(isDomain, "must be a domain such as example.com")
  .transform(domainToASCII);

/**
 * Reads one address. Returns its normal form, or its fault without quoting it. In the normal form the domain is in lower
 * case and in A-labels, and a local part that RFC 5321 allows only in quotes is in quotes.
 */
export function parseAddress(address: string): string | { fault: string } {
  const at = address.lastIndexOf("@");
  if (at < 1) return { fault: "must be an address such as name@example.com" };
  const local = address.slice(0, at);
  const domain = address.slice(at + 1);
  const fault = faultOfLocalPart(local) ?? faultOfDomain(domain);
  if (fault !== undefined) return { fault };
  const normal = `${normalLocalPart(local)}@${domainToASCII(domain)}`;
  if (normal.length <= ADDRESS_MAX) return normal;
  return { fault: `must not be longer than ${ADDRESS_MAX} characters` };
}

function faultOfLocalPart(local: string): string | undefined {
  if (/[\u0080-\uffff]/.test(local)) {
    return "must not have letters outside ASCII before the @ (SMTPUTF8 is not supported)";
  }
  const isWritable = LOOSE_DOTS.test(local) || QUOTED_STRING.test(local);
  return isWritable ? undefined : "must have a valid name before the @";
}

function normalLocalPart(local: string): string {
  return DOT_ATOM.test(local) || QUOTED_STRING.test(local) ? local : `"${local}"`;
}

function faultOfDomain(domain: string): string | undefined {
  if (isDomain(domain)) return undefined;
  const isIpAddress = domain.startsWith("[") || ALL_NUMERIC.test(domainToASCII(domain));
  return isIpAddress
    ? "must have a domain after the @, not an IP address"
    : "must have a valid domain after the @";
}

/** `domainToASCII` reads 0x7f.1 as an IP address and drops tabs, so the given text is checked too. */
function isDomain(given: string): boolean {
  const ascii = domainToASCII(given);
  return !FOREIGN.test(given) && DOMAIN.test(ascii) && !ALL_NUMERIC.test(ascii);
}
