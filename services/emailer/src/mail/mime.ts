import { parseAddress, recipientsOf, timeOfEmailId, type Email } from "@wellsent/contract";
import type { Config } from "../config.ts";

/** RFC 5322 §3.4, the two forms that people write: an address, or a display name and an address in angle brackets. */
// eslint-disable-next-line no-control-regex -- a display name must not hold a line break
const SENDER = /^(?:"?([^"<>\u0000-\u001f\u007f]*?)"?\s*<([^<>]+)>|([^<>\s]+))$/;

const MISREAD = /^\s|\s$|=\?|\S{78}/;
/** Characters of an encoded word: at most 4 bytes each, and 75 with everything around them. */
const WORD = /.{1,11}/gsu;

/** Who sends. */
export type Sender = Config["mail"];

/** A mail for one recipient, ready for a relay. */
export type Mail = ReturnType<typeof toMail>;

/**
 * The mail of one recipient's delivery. Date and Message-ID derive from the email's id, so they are the
 * same on every attempt, and a receiver can drop a duplicate.
 */
export function toMail(id: string, email: Email, recipient: string, sender: Sender) {
  const address = addressOf(sender.from);
  return {
    envelope: { from: sender.envelopeFrom, to: recipient },
    from: sender.from,
    to: recipientsOf(email),
    subject: email.subject,
    text: email.body,
    date: new Date(timeOfEmailId(id)),
    messageId: `<${id}${address.slice(address.lastIndexOf("@"))}>`,
  };
}

/**
 * A subject as nodemailer takes it, who writes what is ASCII as it stands: outer blanks would be lost, what looks encoded be
 * decoded, and a word fill more than a line (RFC 5322 §2.1.1). So that is encoded here (RFC 2047 §2).
 */
export function subjectOf({ subject }: Pick<Mail, "subject">) {
  if (!MISREAD.test(subject)) return { subject };
  const words = (subject.match(WORD) ?? []).map((word) => Buffer.from(word).toString("base64"));
  const value = words.map((word) => `=?UTF-8?B?${word}?=`).join(" ");
  return { subject: undefined, headers: { subject: { prepared: true, foldLines: true, value } } };
}

/** Whether a text can stand in MAIL_FROM. */
export function isSender(text: string): boolean {
  return typeof parseAddress(addressOf(text)) === "string";
}

/** The address in a sender. */
export function addressOf(sender: string): string {
  const [, , bracketed, bare] = SENDER.exec(sender.trim()) ?? [];
  return bracketed ?? bare ?? "";
}
