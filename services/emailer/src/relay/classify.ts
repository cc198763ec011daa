import { ruleFor, type Phase, type Rule, type Verdict } from "./reply-rules.ts";
import { readRefusal } from "./smtp-reply.ts";

export type { Verdict } from "./reply-rules.ts";

/** Why a mail was not taken, as the SMTP client reports it. */
export interface Fault {
  /** The SMTP client's code, such as ECONNECTION. */
  code: string;
  /** The system's own, such as ECONNREFUSED or DEPTH_ZERO_SELF_SIGNED_CERT, where it gave one. */
  cause?: string;
  /** The phase: CONN, EHLO, STARTTLS, AUTH …, MAIL FROM, RCPT TO, DATA (the final dot too), API. */
  command: string;
  /** The number at the beginning of the relay's reply, of any length; absent if there is none. */
  responseCode?: number;
  /** The relay's whole reply, if it gave one. */
  response?: string;
  /** Whether MAIL was sent: an earlier fault does not concern the mail. */
  begun: boolean;
  /** Whether the whole body was handed to the connection, so that the final dot may have reached the relay. */
  bodyRead: boolean;
}

/** Why a relay is down. */
export interface Trouble {
  /** For logs and readiness. */
  reason: string;
  /** Whether it asked us to slow down. */
  throttled: boolean;
  /** Whether it refuses our user or password. */
  authRefused: boolean;
}

/** The code of an error that has none. */
export const UNKNOWN = "UNKNOWN";

/** Codes of faults in the message itself, found before it was sent. */
const UNSENDABLE = /^E(ENVELOPE|MESSAGE|STREAM|MAXRECIPIENTS|FILEACCESS|URLACCESS|FETCH)$/;
/** RFC 4954 §6: authentication required, too weak, refused, or only over TLS. */
const AUTHENTICATION = [530, 534, 535, 538];
/** Before MAIL, "closing", and "for now" because of load or policy, ask for fewer connections. */
const TOO_MUCH = /^(421|4\d\d[ -]4\.(3\.2|7\.))/;

// The rows of docs/relays.md that are not a relay's refusal of a mail.
const UNSENDABLE_RULE: Rule = { name: "unsendable", verdict: "failed" };
const IN_DOUBT: Rule = { name: "in doubt", verdict: "ambiguous" };
const BEFORE_MAIL: Rule = { name: "before MAIL", verdict: "relay" };
const TOO_MUCH_BEFORE_MAIL: Rule = { ...BEFORE_MAIL, isThrottle: true };
const SILENCE: Rule = { name: "silence", verdict: "relay" };
const LOST: Rule = { name: "lost", verdict: "connection" };
const UNREADABLE: Rule = { name: "unreadable", verdict: "connection" };

/** Says whose trouble a fault is. Total: every fault has exactly one verdict. docs/relays.md has the table. */
export function classify(fault: Fault): Verdict {
  return explainVerdict(fault).verdict;
}

/** The row of docs/relays.md that a fault falls under. */
export function explainVerdict(fault: Fault): Rule {
  const { code, begun, bodyRead } = fault;
  const reply = replyOf(fault);
  const phase = phaseOf(fault);
  if (reply === undefined && UNSENDABLE.test(code)) return UNSENDABLE_RULE;
  if (phase === undefined) {
    if (bodyRead) return IN_DOUBT;
    return begun ? lostRule(fault) : openingRule(reply ?? "");
  }
  if (reply === undefined) return phase === "dot" ? IN_DOUBT : lostRule(fault);
  const refusal = readRefusal(reply);
  if (refusal) return ruleFor({ ...refusal, phase });
  return phase === "dot" ? IN_DOUBT : UNREADABLE;
}

/** Whether the relay asks us to slow down. */
export function isThrottled(fault: Fault): boolean {
  return explainVerdict(fault).isThrottle ?? false;
}

/** Whether the relay refuses our user or password, or there is none to show: an operator's trouble. */
export function isAuthRefused(fault: Fault): boolean {
  const reply = replyOf(fault);
  if (reply === undefined) return fault.code === "EAUTH";
  const refusal = readRefusal(reply);
  if (!refusal || classify(fault) !== "relay") return false;
  return AUTHENTICATION.includes(refusal.code) || (isOfAuth(fault) && !refusal.isForNow);
}

/**
 * Whether a fault of the relay may be caused by one mail: the relay reported it after MAIL, the connection broke after MAIL,
 * or the error is unknown.
 */
export function isOfOneMail(fault: Fault): boolean {
  const phase = phaseOf(fault);
  if (phase === undefined) return fault.begun || fault.code === UNKNOWN;
  return phase !== "MAIL" || replyOf(fault) === undefined;
}

/** Whether the relay left us without an answer. */
export function isStall({ code }: Fault): boolean {
  return code === "ETIMEDOUT";
}

/** Describes a relay's trouble. */
export function toTrouble(fault: Fault): Trouble {
  const reason = explainBriefly(fault);
  return { reason, throttled: isThrottled(fault), authRefused: isAuthRefused(fault) };
}

/** A fault in a few words for logs and readiness. It never quotes the relay, whose text may quote a recipient. */
export function explainBriefly(fault: Fault): string {
  const fact = `${explainCode(fault)} at ${explainPhase(fault)}${explainStatus(fault)}`;
  return isAuthRefused(fault) ? `authentication refused, ${fact}` : fact;
}

/** The relay's reply, or a fault in a few words where there is none that can be read. */
export function explain(fault: Fault): string {
  const reply = replyOf(fault);
  const isReadable = reply !== undefined && readRefusal(reply) !== undefined;
  return isReadable ? reply : explainBriefly(fault);
}

function explainCode(fault: Fault): string {
  const reply = replyOf(fault);
  if (reply === undefined) return fault.cause ?? fault.code;
  return readRefusal(reply)?.code.toString() ?? "unreadable reply";
}

function explainStatus(fault: Fault): string {
  const { code = 0, status = "" } = readRefusal(replyOf(fault) ?? "") ?? {};
  return status === "" ? "" : ` (${Math.floor(code / 100)}.${status})`;
}

/** The phase in words, for logs and readiness. */
function explainPhase(fault: Fault): string {
  const { command, begun, bodyRead } = fault;
  if (phaseOf(fault) === "dot" || bodyRead) return "the final dot";
  if (replyOf(fault) === undefined && begun) return "MAIL, RCPT or DATA";
  return command || "connect";
}

function openingRule(reply: string): Rule {
  return TOO_MUCH.test(reply) ? TOO_MUCH_BEFORE_MAIL : BEFORE_MAIL;
}

function lostRule(fault: Fault): Rule {
  return isStall(fault) ? SILENCE : LOST;
}

/** The phase that a reply answers; undefined before MAIL, and where it is not known. */
function phaseOf({ code, command, bodyRead }: Fault): Phase | undefined {
  switch (command) {
    case "MAIL FROM":
      return bodyRead ? undefined : "MAIL";
    case "RCPT TO":
      return bodyRead ? undefined : "RCPT";
    case "DATA":
      // A relay may refuse a body before it has all of it: that is EMESSAGE. A refusal before the body is EENVELOPE.
      return bodyRead || code === "EMESSAGE" ? "dot" : "DATA";
    default:
      return undefined;
  }
}

function isOfAuth({ command }: Fault): boolean {
  return command.startsWith("AUTH");
}

function replyOf({ response, responseCode }: Fault): string | undefined {
  return response ?? (responseCode === undefined ? undefined : String(responseCode));
}
