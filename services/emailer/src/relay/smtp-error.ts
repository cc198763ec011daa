import type { Reply } from "./reply-reader.ts";
import { isTaken } from "./smtp-reply.ts";

/** The commands that a relay's replies are to. `CONN` stands for the connection and its greeting. */
export type SmtpCommand =
  | "CONN"
  | "EHLO"
  | "HELO"
  | "STARTTLS"
  | "AUTH"
  | "MAIL FROM"
  | "RCPT TO"
  | "DATA"
  | "RSET"
  | "QUIT";

/** The codes of {@link SmtpError}. */
export type SmtpErrorCode =
  /** The connection could not be made, or was lost. */
  | "ECONNECTION"
  /** The relay left us without an answer. */
  | "ETIMEDOUT"
  /** TLS could not be established. */
  | "ETLS"
  /** The relay refuses user or password, or there is none. */
  | "EAUTH"
  /** A reply that does not fit its command, or none at all. */
  | "EPROTOCOL"
  /** MAIL, RCPT or DATA was refused. */
  | "EENVELOPE"
  /** The body was refused. */
  | "EMESSAGE"
  /** We broke the connection off. */
  | "EABORT";

/** What ended a dialogue with a relay. Its message quotes neither the relay nor the mail. */
export class SmtpError extends Error {
  readonly code: SmtpErrorCode;
  readonly command: SmtpCommand;
  /** The relay's reply, where one ended it. */
  readonly reply: Reply | undefined;
  /** The system's or the TLS library's own code, such as ECONNREFUSED. */
  readonly systemCode: string | undefined;

  constructor(
    code: SmtpErrorCode,
    command: SmtpCommand,
    { reply, cause }: { reply?: Reply | undefined; cause?: unknown } = {},
  ) {
    super(`${code} at ${command}`, { cause });
    this.code = code;
    this.command = command;
    this.reply = reply;
    const systemCode: unknown = (cause as { code?: unknown } | undefined)?.code;
    this.systemCode = typeof systemCode === "string" ? systemCode : undefined;
  }
}

/** Returns a reply that says yes to a command. @throws {SmtpError} of the given code, for every other reply */
export function expectYes(reply: Reply, code: SmtpErrorCode, command: SmtpCommand): Reply {
  if (isTaken(reply.text)) return reply;
  throw new SmtpError(code, command, { reply });
}
