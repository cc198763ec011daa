import { parseAddress } from "@posthorn/contract";

/** RFC 5322 §3.4, the two forms that people write: an address, or a display name and an address in angle brackets. */
// eslint-disable-next-line no-control-regex -- a display name must not hold a line break
const SENDER = /^(?:"?([^"<>\u0000-\u001f\u007f]*?)"?\s*<([^<>]+)>|([^<>\s]+))$/;

/** Whether a text can stand in MAIL_FROM. */
export function isSender(text: string): boolean {
  return typeof parseAddress(addressOf(text)) === "string";
}

/** The address in a sender. */
export function addressOf(sender: string): string {
  const [, , bracketed, bare] = SENDER.exec(sender.trim()) ?? [];
  return bracketed ?? bare ?? "";
}

/** The domain of an address, for Message-IDs. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
