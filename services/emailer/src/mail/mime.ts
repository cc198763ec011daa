import { recipientsOf, timeOfEmailId, type Email } from "@wellsent/contract";
import { domainOf, type Mailbox } from "./sender.ts";
import { subjectMembers } from "./subject.ts";

/** The sender of every mail. */
export interface Sender {
  /** The header `From`. */
  from: Mailbox;
  /** The envelope's sender, which gets the bounces. */
  envelopeFrom: string;
}

/** A mail for one recipient, ready for a relay. */
export interface Mail {
  envelope: { from: string; to: string };
  from: Mailbox;
  /** All recipients of the email, for the header `To`. */
  to: readonly string[];
  subject: string;
  text: string;
  date: Date;
  messageId: string;
}

/**
 * Makes the mail of one recipient's delivery. `Date` and `Message-ID` derive from the email's id: they are the same at each
 * attempt, so that a receiver can drop a duplicate.
 */
export function toMail(id: string, email: Email, recipient: string, sender: Sender): Mail {
  return {
    envelope: { from: sender.envelopeFrom, to: recipient },
    from: sender.from,
    to: recipientsOf(email),
    subject: email.subject,
    text: email.body,
    date: new Date(timeOfEmailId(id)),
    messageId: `<${id}@${domainOf(sender.from)}>`,
  };
}

/**
 * Returns the mail as nodemailer composes it. Addresses are objects, because nodemailer parses text again, by another
 * grammar. They are copies, because nodemailer writes into them.
 */
export function toContent({ subject, from, to, text, date, messageId }: Mail) {
  return {
    ...subjectMembers(subject),
    from: { ...from },
    to: to.map((address) => ({ name: "", address })),
    text,
    textEncoding: "quoted-printable" as const,
    date,
    messageId,
  };
}
