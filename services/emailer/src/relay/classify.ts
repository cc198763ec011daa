/** What nodemailer tells of a mail that was not taken. */
export interface Fault {
  /** nodemailer's code, such as ECONNECTION. */
  code: string;
  /** The system's own, such as ECONNREFUSED or DEPTH_ZERO_SELF_SIGNED_CERT, where it gave one. */
  cause?: string;
  /** The phase: CONN, EHLO, STARTTLS, AUTH …, MAIL FROM, RCPT TO, DATA (the final dot too), API. */
  command: string;
  /** The relay's reply code (RFC 5321 §4.2) and whole reply, where it gave one. */
  responseCode?: number;
  response?: string;
  /** Whether MAIL was sent: what comes before has nothing to do with the mail. */
  begun: boolean;
  /** Whether the whole body was handed to the connection, so that the final dot may have reached the relay. */
  bodyRead: boolean;
}

/**
 * Whose trouble a fault is:
 * `deferred` the recipient's for a while, `failed` for good, `sender-refused` ours with this relay,
 * `relay` the relay's own (no attempt consumed), `ambiguous` nobody knows whether it was taken.
 */
export type Verdict = "deferred" | "failed" | "sender-refused" | "relay" | "ambiguous";

/** A relay's trouble. */
export interface Trouble {
  /** For logs and readiness. */
  reason: string;
  /** Whether it asked us to slow down. */
  throttled: boolean;
  /** Whether it refuses our user or password. */
  authRefused: boolean;
}

/** The code of what has none. */
export const UNKNOWN = "UNKNOWN";

const OPENING = /^(CONN|EHLO|HELO|LHLO|STARTTLS|AUTH|QUIT|RSET)/;
/** nodemailer's codes for what is the message's own fault, found out before the relay was asked. */
const UNSENDABLE = /^E(ENVELOPE|MESSAGE|STREAM|MAXRECIPIENTS|FILEACCESS|URLACCESS|FETCH)$/;
/** RFC 4954 §6: authentication required, too weak, refused, or only over TLS. Asked of us, not of the message. */
const AUTHENTICATION = new Set([530, 534, 535, 538]);
/** RFC 5321 §3.8: the relay is closing the channel. */
const CLOSING = 421;
/** RFC 5321 §4.2.2: bad sequence of commands; the session's trouble, gone on another connection. */
const BAD_SEQUENCE = 503;
/** RFC 3463 §3.8: an enhanced status of security or policy, for now. */
const POLICY = /^4\d\d[ -]4\.7\./;

/** Says whose trouble a fault is. Total: every fault has exactly one verdict. */
export function classify(fault: Fault): Verdict {
  const { code, command, responseCode, bodyRead } = fault;
  if (responseCode === undefined && UNSENDABLE.test(code)) return "failed";
  if (responseCode === undefined) return bodyRead ? "ambiguous" : "relay";
  // n.b. a reply that is not to DATA, after the body was read, says nothing of the mail.
  if (responseCode === CLOSING || AUTHENTICATION.has(responseCode) || OPENING.test(command))
    return bodyRead && command !== "DATA" ? "ambiguous" : "relay";
  if (code === "EAUTH" || code === "EPROTOCOL" || code === "ETLS") return "relay";
  if (!isForGood(responseCode) || responseCode === BAD_SEQUENCE)
    return command === "MAIL FROM" && isThrottled(fault) ? "relay" : "deferred";
  return command === "MAIL FROM" ? "sender-refused" : "failed";
}

/** Whether the relay asks us to slow down: 421, or 4.7.x anywhere but at RCPT, where it is greylisting. */
export function isThrottled({ responseCode, response = "", command }: Fault): boolean {
  return responseCode === CLOSING || (command !== "RCPT TO" && POLICY.test(response));
}

/** Whether the relay refuses our user or password, or there is none to show: an operator's trouble. */
export function isAuthRefused({ code, command, responseCode }: Fault): boolean {
  if (responseCode === undefined) return code === "EAUTH";
  const isRefused = command.startsWith("AUTH") && isForGood(responseCode);
  return isRefused || AUTHENTICATION.has(responseCode);
}

/**
 * Whether a relay's trouble may be one mail's: the connection broke, or was closed after MAIL, where recipients come in;
 * or it came to nothing for a reason that nodemailer does not know.
 */
export function isOfOneMail({ code, begun, responseCode, command }: Fault): boolean {
  if (responseCode === undefined) return begun || code === UNKNOWN;
  return command === "RCPT TO" || command === "DATA";
}

/** Whether the relay left us without an answer. */
export function isStall({ code }: Fault): boolean {
  return code === "ETIMEDOUT";
}

/** What a relay's trouble is. */
export function toTrouble(fault: Fault): Trouble {
  const reason = explainBriefly(fault);
  return { reason, throttled: isThrottled(fault), authRefused: isAuthRefused(fault) };
}

/** A fault in a few words for logs and readiness: a relay's text may quote a recipient, so it is not among them. */
export function explainBriefly(fault: Fault): string {
  const { responseCode, code, cause, command, begun, bodyRead } = fault;
  // n.b. nodemailer calls every lost connection CONN.
  const lost = responseCode === undefined && begun;
  const known = lost ? (bodyRead ? "the final dot" : "MAIL, RCPT or DATA") : command;
  const what = `${responseCode ?? cause ?? code} at ${known || "connect"}`;
  return isAuthRefused(fault) ? `authentication refused, ${what}` : what;
}

/** The relay's reply, or a fault in a few words. n.b. what has no code is no reply. */
export function explain(fault: Fault): string {
  const reply = fault.responseCode === undefined ? undefined : fault.response;
  return reply ?? explainBriefly(fault);
}

/** By its first digit (RFC 5321 §4.2.1), of which nodemailer makes a number as long as it stands: 5 of "5.1.1 unknown". */
function isForGood(responseCode: number): boolean {
  return String(responseCode).startsWith("5");
}
