import { domainToASCII } from "node:url";
import * as z from "zod";

/** RFC 5321 §4.5.3.1.1: octets of a local part. */
const LOCAL_PART_MAX = 64;
/** RFC 5321 §4.5.3.1.3 allows a path of 256 octets; less the angle brackets, an address has 254. */
const ADDRESS_MAX = 254;
/** RFC 5322 §3.2.3: the characters of an atom. */
const DOT_ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
/** RFC 5321 §4.1.2: a quoted local part, of printable ASCII; without angle brackets, which SMTP clients take for the path's own. */
const QUOTED_STRING = /^"([ !#-;=?-[\]-~]|\\[ -;=?-~])*"$/;
/** RFC 1035 §2.3.4: at most 63 octets a label, and RFC 5321 §4.5.3.1.2: 255 a domain. */
const DOMAIN =
  /^(?=.{1,255}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * An email address as RFC 5321 writes a mailbox, without a display name.
 * The domain comes out in lower case and, where it is internationalised, in punycode.
 */
export const addressSchema = z.string().transform((address, context) => {
  const parsed = parseAddress(address);
  if (typeof parsed === "string") return parsed;
  context.addIssue({ code: "custom", message: parsed.fault });
  return z.NEVER;
});

/** A domain as addresses have it: in lower case and, where it is internationalised, in punycode. */
export const domainSchema = z
  .string()
  .refine(isDomain, "must be a domain such as example.com")
  .transform(domainToASCII);

/** Reads one address: the normal form, or what is wrong with it, without quoting it. */
export function parseAddress(address: string): string | { fault: string } {
  const at = address.lastIndexOf("@");
  if (at < 1) return { fault: "must be an address such as name@example.com" };
  const local = address.slice(0, at);
  const domain = address.slice(at + 1);
  const fault = faultOfLocalPart(local);
  if (fault !== undefined) return { fault };
  if (!isDomain(domain)) return { fault: "must have a valid domain after the @" };
  const normal = `${local}@${domainToASCII(domain)}`;
  if (normal.length <= ADDRESS_MAX) return normal;
  return { fault: `must not be longer than ${ADDRESS_MAX} characters` };
}

function faultOfLocalPart(local: string): string | undefined {
  if (/[\u0080-\uffff]/.test(local))
    return "must not have letters outside ASCII before the @ (SMTPUTF8 is not supported)";
  if (local.length > LOCAL_PART_MAX)
    return `must not have more than ${LOCAL_PART_MAX} characters before the @`;
  if (!DOT_ATOM.test(local) && !QUOTED_STRING.test(local))
    return "must have a valid name before the @";
  return undefined;
}

/** n.b. `domainToASCII` reads 0x7f.1 as an address of the internet and drops tabs, so what it was given is looked at too. */
function isDomain(given: string): boolean {
  const ascii = domainToASCII(given);
  // eslint-disable-next-line no-control-regex -- they are what it looks for
  const odd = /[\s%/\\:?#[\]@\u0000-\u001f\u007f]/.test(given);
  return !odd && DOMAIN.test(ascii) && !/^[\d.]+$/.test(ascii);
}
