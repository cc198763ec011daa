import { UNKNOWN, type Fault } from "./classify.ts";
import type { SmtpConnection } from "./smtp-connection.ts";
import { SmtpError } from "./smtp-error.ts";
import type { Phase } from "./smtp-phase.ts";

/** The relay's answer to a mail that it took, or what went wrong. */
export type Sent =
  | { taken: true; reply: string }
  | {
      taken: false;
      fault: Fault;
      /** Whether a kept connection was lost before it had any reply: the relay may have closed it long before. */
      wasStale: boolean;
    };

/** How far a mail has come. */
export interface Progress {
  phase: Phase;
  connection?: SmtpConnection;
  /** Whether its connection carried a mail before. */
  isReused: boolean;
}

/** Describes how a mail failed. */
export function toFailed(error: unknown, { phase, connection, isReused }: Progress): Sent {
  const isFirst = error instanceof SmtpError && error.command === "MAIL FROM" && !error.reply;
  const isTrusted = connection?.isSound ?? true;
  const fault = toFault(error, phase, isTrusted);
  return { taken: false, fault, wasStale: isReused && isFirst && fault.code === "ECONNECTION" };
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
