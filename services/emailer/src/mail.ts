import { recipientsOf, timeOfEmailId, type Email } from "@posthorn/contract";
import { addressOf, domainOf } from "./sender.ts";

/** A mail for one recipient, ready for a relay. */
export interface Mail {
  envelope: { from: string; to: string };
  from: string;
  to: readonly string[];
  subject: string;
  text: string;
  date: Date;
  messageId: string;
}

/** Who sends. */
export interface Sender {
  from: string;
  envelopeFrom: string;
}

/**
 * The mail of one recipient's delivery. Date and Message-ID derive from the email's id, so they are the
 * same on every attempt, and a receiver can drop a duplicate.
 */
export function toMail(
  id: string,
  email: Email,
  recipient: string,
  { from, envelopeFrom }: Sender,
): Mail {
  return {
    envelope: { from: envelopeFrom, to: recipient },
    from,
    to: recipientsOf(email),
    subject: email.subject,
    text: email.body,
    date: new Date(timeOfEmailId(id)),
    messageId: `<${id}@${domainOf(addressOf(from))}>`,
  };
}
