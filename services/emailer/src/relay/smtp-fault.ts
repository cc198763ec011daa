import { explainVerdict, UNKNOWN, type Fault } from "./classify.ts";
import type { SmtpConnection } from "./smtp-connection.ts";
import { SmtpError } from "./smtp-error.ts";
import type { Phase } from "./smtp-phase.ts";

/** The relay's answer to a mail that it took, or what went wrong. */
export type Sent =
  | { taken: true; reply: string }
  | {
      taken: false;
      fault: Fault;
      /**
       * Whether a kept connection was no longer good: lost before it had any reply, because the relay may have closed it long
       * before; or at the relay's limit of mails a connection. It tells nothing of the mail or the relay.
       */
      wasStale: boolean;
    };

/** The rules of a relay that ends a connection after some mails. */
const AT_LIMIT = ["closing", "session limit"];

/** How far a mail has come. */
export interface Progress {
  phase: Phase;
  connection?: SmtpConnection;
  /** Whether its connection carried a mail before. */
  isReused: boolean;
}

/** Describes how a mail failed. */
export function toFailed(error: unknown, { phase, connection, isReused }: Progress): Sent {
  const isTrusted = connection?.isSound ?? true;
  const fault = toFault(error, phase, isTrusted);
  const isKept = isReused && phase === "envelope";
  return { taken: false, fault, wasStale: isKept && (isLostAtMail(fault) || isAtLimit(fault)) };
}

function isLostAtMail({ code, command, response }: Fault): boolean {
  return code === "ECONNECTION" && command === "MAIL FROM" && response === undefined;
}

function isAtLimit(fault: Fault): boolean {
  return AT_LIMIT.includes(explainVerdict(fault).name);
}

/** Describes what ended a dialogue. A refusal is believed only while every line of the relay was in its place. */
export function toFault(error: unknown, phase: Phase, isTrusted = true): Fault {
  const progress = { begun: phase !== "opening", bodyRead: phase === "dot" };
  if (!(error instanceof SmtpError)) {
    const { code } = error as { code?: unknown };
    return { code: typeof code === "string" ? code : UNKNOWN, command: "API", ...progress };
  }
  const { code, command, systemCode, reply } = error;
  const isBelieved = reply !== undefined && (isTrusted || reply.code === 0);
  return {
    code: isTrusted || !reply ? code : "EPROTOCOL",
    command,
    ...(systemCode === undefined ? {} : { cause: systemCode }),
    ...(isBelieved ? { response: reply.text } : {}),
    ...(isBelieved && reply.code > 0 ? { responseCode: reply.code } : {}),
    ...progress,
  };
}
