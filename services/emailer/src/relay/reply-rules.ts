import {
  ACCESS,
  CONTENT,
  FOR_NOW,
  GREYLISTING,
  NO_MAILBOX,
  OUT_OF_ORDER,
  POLICY,
  QUOTA,
  RATE,
  OTHER_LIMIT,
  SEND_AS,
  SENDER,
  SESSION_LIMIT,
  US,
  US_CLEARLY,
} from "./reply-words.ts";
import type { Refusal } from "./smtp-reply.ts";

/** The phases of a mail's transaction. What comes before MAIL is of no mail. */
export type Phase = "MAIL" | "RCPT" | "DATA" | "dot";

/**
 * Whose trouble a fault is, and so what happens:
 * `deferred` this delivery's, for a while: one rung down. `failed` this delivery's, for good.
 * `sender-refused` our sender address is refused: the delivery is parked.
 * `relay` the relay's own, or it refuses us: no attempt is consumed, the circuit opens.
 * `connection` this connection's, which says nothing of the mail or the relay: the mail goes again on another one.
 * `ambiguous` nobody knows whether the mail was taken.
 */
export type Verdict =
  "deferred" | "failed" | "sender-refused" | "relay" | "connection" | "ambiguous";

/** A refusal, and what it is the reply to. */
export interface Said extends Refusal {
  phase: Phase;
}

/** A row of the table in docs/relays.md, where it has the same name: what a refusal is like, and whose trouble it is then. */
export interface Rule {
  name: string;
  verdict: Verdict;
  /** Any phase, if absent. */
  phases?: readonly Phase[];
  /** The first digit of the code; either, if absent. */
  kind?: 4 | 5;
  /** One of these three is to fit: a code, the enhanced status or the text. Anything does, if all are absent. */
  codes?: readonly number[];
  status?: RegExp;
  words?: readonly RegExp[];
  /** A text that one of these fits is not meant. */
  except?: readonly RegExp[];
  /** Whether the relay asks for fewer mails, so that it is left alone for longer. */
  isThrottle?: boolean;
}

/** RFC 5321 §3.8: the relay is closing the channel. */
const CLOSING = [421];
/** RFC 4954 §6: authentication required, too weak, refused, or only over TLS. */
const AUTHENTICATION = [530, 534, 535, 538];
/** RFC 5321 §4.2.2: bad sequence of commands, whatever the command. */
const BAD_SEQUENCE = [503];
/** RFC 5321 §4.2.2: unknown, not implemented. Every relay has these commands, so it has taken one thing for another. */
const NOT_UNDERSTOOD = [500, 502];

// Subjects and details of RFC 3463, RFC 7372 and RFC 7505; 5.7.54 and above, and those of three digits, are Microsoft's.
const OF_MAILBOX = /^(1\.([1-46]|10)|2\.\d+|4\.[146]|7\.(2|17|18|1[2-9]\d))$/;
const OF_SENDER = /^(1\.[78]|7\.(2[0-4]|2[67]|60|509|750))$/;
const OF_US = /^(1\.90|7\.(8|1[0-4]|25|28|54|57|64|50[1-36-8]|511|6[0-4]\d|70[58]))$/;
const OF_MESSAGE = /^(3\.4|6\.\d+)$/;
const OF_SYSTEM = /^(3\.\d+|4\.[2357])$/;
const OF_LOAD = /^(3\.[12]|4\.5|7\.\d+)$/;
const OF_POLICY = /^7\.\d+$/;

const MAIL = ["MAIL"] as const;
const COMMANDS = ["MAIL", "RCPT", "DATA"] as const;
/** When the relay knows the recipient. */
const TO_IT = ["RCPT", "DATA", "dot"] as const;
/** When it knows the recipient, and has not seen the content. */
const UNSEEN = ["RCPT", "DATA"] as const;

const REFUSED: Rule = { name: "refused", verdict: "failed" };
const ASKS_FOR_LESS = { verdict: "relay", isThrottle: true } as const;

/**
 * What a refusal within a mail's transaction means: the first rule that fits. A clear status decides before a text, and a
 * text before the phase. Where nothing is clear, mail is kept: what is said before the content was sent and is no word on
 * the mailbox cannot be the fault of either.
 */
export const RULES: readonly Rule[] = [
  { name: "closing", codes: CLOSING, verdict: "connection", isThrottle: true },
  { name: "session limit", words: SESSION_LIMIT, verdict: "connection" },
  { name: "greylisting", words: GREYLISTING, verdict: "deferred" },
  { name: "send as", kind: 5, words: SEND_AS, verdict: "sender-refused" },
  { name: "quota", words: QUOTA, except: OTHER_LIMIT, ...ASKS_FOR_LESS },
  { name: "rate", kind: 5, words: RATE, except: OTHER_LIMIT, ...ASKS_FOR_LESS },
  { name: "mailbox, for now", kind: 4, phases: TO_IT, status: OF_MAILBOX, verdict: "deferred" },
  { name: "mailbox", kind: 5, phases: TO_IT, status: OF_MAILBOX, verdict: "failed" },
  { name: "sender, by status", kind: 5, status: OF_SENDER, verdict: "sender-refused" },
  { name: "message", kind: 5, status: OF_MESSAGE, verdict: "failed" },
  { name: "us, by status", kind: 5, status: OF_US, verdict: "relay" },
  { name: "authentication", codes: AUTHENTICATION, verdict: "relay" },
  { name: "sender, by text", kind: 5, words: SENDER, except: CONTENT, verdict: "sender-refused" },
  { name: "content", kind: 5, phases: ["dot"], words: CONTENT, verdict: "failed" },
  { name: "mailbox, by text", kind: 5, phases: TO_IT, words: NO_MAILBOX, verdict: "failed" },
  { name: "us, by text", kind: 5, words: US, verdict: "relay" },
  { name: "us, for now", kind: 4, words: US_CLEARLY, verdict: "relay" },
  { name: "bad sequence", codes: BAD_SEQUENCE, words: OUT_OF_ORDER, verdict: "connection" },
  { name: "not understood", phases: COMMANDS, codes: NOT_UNDERSTOOD, verdict: "connection" },
  { name: "load", kind: 4, phases: MAIL, status: OF_LOAD, words: RATE, ...ASKS_FOR_LESS },
  { name: "for now", kind: 4, verdict: "deferred" },
  { name: "for now, by text", kind: 5, words: FOR_NOW, verdict: "deferred" },
  { name: "system at MAIL", kind: 5, phases: MAIL, status: OF_SYSTEM, verdict: "relay" },
  { name: "system", kind: 5, status: OF_SYSTEM, verdict: "deferred" },
  { name: "at MAIL", phases: MAIL, verdict: "sender-refused" },
  { name: "access", words: ACCESS, verdict: "sender-refused" },
  { name: "policy", phases: UNSEEN, status: OF_POLICY, words: POLICY, verdict: "sender-refused" },
  REFUSED,
];

/** Returns the first rule that fits a refusal; {@link REFUSED} fits every one. */
export function ruleFor(said: Said): Rule {
  return RULES.find((rule) => fits(rule, said)) ?? REFUSED;
}

function fits({ phases, kind, except = [], ...rule }: Rule, said: Said): boolean {
  const { phase, code, status, text } = said;
  if (phases?.includes(phase) === false) return false;
  if (kind !== undefined && kind !== Math.floor(code / 100)) return false;
  if (!rule.codes && !rule.status && !rule.words) return true;
  if (rule.codes?.includes(code) || rule.status?.test(status)) return true;
  return fitsOne(rule.words ?? [], text) && !fitsOne(except, text);
}

function fitsOne(words: readonly RegExp[], text: string): boolean {
  return words.some((each) => each.test(text));
}
