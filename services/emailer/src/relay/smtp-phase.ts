import type { SmtpConnection } from "./smtp-connection.ts";
import { expectYes, SmtpError } from "./smtp-error.ts";
import type { Reply } from "./reply-reader.ts";
import type { Timeouts } from "./timeouts.ts";

/**
 * How far a mail has come.
 *
 * | phase      | when                                 | the relay can deliver it |
 * | ---------- | ------------------------------------ | ------------------------ |
 * | `opening`  | before MAIL is sent                  | no                       |
 * | `envelope` | MAIL, RCPT, DATA, and the body       | no                       |
 * | `dot`      | from just before the final dot is sent | nobody knows           |
 */
export type Phase = "opening" | "envelope" | "dot";

/** What is sent in one transaction. */
export interface Envelope {
  from: string;
  to: string;
}

/**
 * Sends one mail (RFC 5321 §3.3), without PIPELINING, so that each reply is known to belong to its command. `body` ends
 * with the final dot. Resolves to the final reply. @throws {SmtpError}
 */
export async function transact(
  connection: SmtpConnection,
  { from, to }: Envelope,
  body: Buffer,
  timeouts: Timeouts,
  onPhase: (phase: Phase) => void,
): Promise<Reply> {
  const { command, data } = timeouts;
  onPhase("envelope");
  const mail = await connection.command("MAIL FROM", `MAIL FROM:<${from}>`, command);
  expectYes(mail, "EENVELOPE", "MAIL FROM");
  const recipient = await connection.command("RCPT TO", `RCPT TO:<${to}>`, command);
  expectYes(recipient, "EENVELOPE", "RCPT TO");
  const go = await connection.command("DATA", "DATA", data);
  if (go.code !== 354) throw new SmtpError("EENVELOPE", "DATA", { reply: go });
  const final = await connection.body(body, timeouts, () => onPhase("dot"));
  return expectYes(final, "EMESSAGE", "DATA");
}

/** Whether the connection can be used again after an error: the relay refused, and its replies were in order. */
export function isReusable(error: SmtpError, connection: SmtpConnection): boolean {
  const isRefusal =
    error.reply !== undefined && error.reply.code >= 400 && error.reply.code !== 421;
  return isRefusal && connection.isSound && !connection.isLost;
}

/** Makes a composed message the body of DATA: lines end with CRLF, dots at their start are doubled (RFC 5321 §4.5.2). */
export function toBody(message: Buffer): Buffer {
  const text = message.toString("latin1").replace(/\r\n|\r|\n/g, "\r\n");
  const stuffed = text.replace(/(^|\n)\./g, "$1..");
  const end = stuffed.endsWith("\r\n") ? ".\r\n" : "\r\n.\r\n";
  return Buffer.from(stuffed + end, "latin1");
}
