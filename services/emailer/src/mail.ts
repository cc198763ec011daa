import { recipientsOf, timeOfEmailId, type Email } from "@posthorn/contract";
import { addressOf, domainOf } from "./sender.ts";

/** Who sends. */
export interface Sender {
  from: string;
  envelopeFrom: string;
}

/** A mail for one recipient, ready for a relay. */
export type Mail = ReturnType<typeof toMail>;

/**
 * The mail of one recipient's delivery. Date and Message-ID derive from the email's id, so they are the
 * same on every attempt, and a receiver can drop a duplicate.
 */
export function toMail(
  id: string,
  email: Email,
  recipient: string,
  { from, envelopeFrom }: Sender,
) {
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
