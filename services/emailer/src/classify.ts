/** What nodemailer tells of a mail that was not taken. */
export interface Fault {
  /** nodemailer's code, such as ECONNECTION. */
  code: string;
  /** The phase: CONN, EHLO, STARTTLS, AUTH …, MAIL FROM, RCPT TO, DATA (the final dot too), API. */
  command: string;
  /** The relay's reply code (RFC 5321 §4.2) and whole reply, where it gave one. */
  responseCode?: number;
  response?: string;
  /** Whether the whole body was handed to the connection, so that the final dot may have reached the relay. */
  bodyRead: boolean;
}

/**
 * Whose trouble a fault is:
 * `deferred` the recipient's for a while, `failed` for good, `sender-refused` ours with this relay,
 * `relay` the relay's own (no attempt consumed), `ambiguous` nobody knows whether it was taken.
 */
export type Verdict = "deferred" | "failed" | "sender-refused" | "relay" | "ambiguous";

const OPENING = /^(CONN|EHLO|HELO|LHLO|STARTTLS|AUTH|QUIT|RSET)/;
/** nodemailer's codes for what is the message's own fault, found out before the relay was asked. */
const UNSENDABLE = new Set([
  "EENVELOPE",
  "EMESSAGE",
  "ESTREAM",
  "EMAXRECIPIENTS",
  "EFILEACCESS",
  "EURLACCESS",
  "EFETCH",
]);
/** RFC 4954 §6: authentication required, too weak, refused, or only over TLS. Asked of us, not of the message. */
const AUTHENTICATION = new Set([530, 534, 535, 538]);
/** RFC 5321 §3.8: the relay is closing the channel. */
const CLOSING = 421;
/** RFC 5321 §4.2.2: bad sequence of commands; the session's trouble, gone on another connection. */
const BAD_SEQUENCE = 503;

/** Says whose trouble a fault is. Total: every fault has exactly one verdict. */
export function classify(fault: Fault): Verdict {
  const { code, command, responseCode } = fault;
  if (responseCode === undefined) return withoutReply(fault);
  if (responseCode === CLOSING || AUTHENTICATION.has(responseCode) || OPENING.test(command)) {
    return lostAfterDot(fault) ? "ambiguous" : "relay";
  }
  if (code === "EAUTH" || code === "EPROTOCOL" || code === "ETLS") return "relay";
  if (responseCode < 500 || responseCode === BAD_SEQUENCE)
    return isThrottled(fault) ? "relay" : "deferred";
  return command === "MAIL FROM" ? "sender-refused" : "failed";
}

/** Whether the relay asks us to slow down: 421, or an enhanced status of 4.7.x (RFC 3463 §3.8) to the sender. */
export function isThrottled({ responseCode, response, command }: Fault): boolean {
  return (
    responseCode === CLOSING || (command === "MAIL FROM" && /^4\d\d[ -]4\.7\./.test(response ?? ""))
  );
}

function withoutReply(fault: Fault): Verdict {
  if (UNSENDABLE.has(fault.code)) return "failed";
  return fault.bodyRead ? "ambiguous" : "relay";
}

/** n.b. a reply that is not to DATA, after the body was read, says nothing of the mail. */
function lostAfterDot({ bodyRead, command }: Fault): boolean {
  return bodyRead && command !== "DATA";
}
