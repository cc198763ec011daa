import { isIPv4, isIPv6 } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";

/** RFC 5321 §4.1.2: labels of letters, digits and inner dashes, at least two of them. */
const QUALIFIED =
  /^(?=.{1,255}$)([a-z\d]([a-z\d-]{0,61}[a-z\d])?\.)+[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/i;
const LITERAL = /^\[(?:IPv6:)?([\da-f:.]+)\]$/i;

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** Whether a text may be given in EHLO: a qualified host name or an address literal (RFC 5321 §4.1.3, §4.1.4). */
export function isEhloName(text: string): boolean {
  const address = LITERAL.exec(text)?.[1];
  if (address === undefined) return QUALIFIED.test(text) && !isIPv4(text);
  return text.startsWith("[IPv6:") ? isIPv6(address) : isIPv4(address);
}

/**
 * Returns the EHLO name of a host: its own name if that is qualified, otherwise the literal of its first address that is not
 * loopback. The name of a container is a bare id, which strict relays refuse.
 */
export function ehloNameOf(hostname: string, interfaces: Interfaces): string {
  if (isEhloName(hostname)) return hostname;
  const addresses = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid = 0 }) => !internal && scopeid === 0);
  const found = addresses.find(({ family }) => family === "IPv4") ?? addresses[0];
  if (found === undefined) return "[127.0.0.1]";
  return found.family === "IPv4" ? `[${found.address}]` : `[IPv6:${found.address}]`;
}
