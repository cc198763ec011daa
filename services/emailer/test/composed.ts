import { simpleParser } from "mailparser";
import { createTransport } from "nodemailer";
import { toContent, type Mail } from "../src/mail/mime.ts";
import { mailTo } from "./support.ts";

const transport = createTransport({ streamTransport: true, buffer: true });

/** A mail with some members of its own. */
export function mailWith(members: Partial<Mail>): Mail {
  return { ...mailTo("reader@example.com"), ...members };
}

/** The bytes of a mail as a relay gets them. */
export async function written(mail: Mail): Promise<Buffer> {
  const { message } = await transport.sendMail(toContent(mail));
  return message as Buffer;
}

/** A message as a mail program reads it. */
export async function parsed(message: Buffer) {
  return simpleParser(message);
}

/** The lines of a message's header. */
export function headerOf(message: Buffer): string[] {
  const [header = ""] = message.toString("latin1").split("\r\n\r\n");
  return header.split("\r\n");
}
