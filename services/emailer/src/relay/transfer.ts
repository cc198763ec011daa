import type { Reason } from "@wellsent/contract";
import type { Mail } from "../mail/mime.ts";
import type { Verdict } from "./classify.ts";

/** A relay's answer to a mail. The relay's own trouble is waited out and never seen here. */
export interface Result {
  verdict: "sent" | Exclude<Verdict, "relay" | "connection">;
  reply: string;
  /** Why the verdict is another one than the reply says. */
  reason?: Reason;
  /** The name of the relay that answered. */
  relay: string;
}

/** A mail on its way to a relay. */
export interface Transfer {
  mail: Mail;
  /** Aborts when the mail is to be broken off, unless the final dot was sent. */
  signal: AbortSignal;
  /** How often it met a kept connection that was no longer good. */
  staleConnections: number;
  /** How often its transaction met trouble that may be its own. */
  breaks: number;
  /** The names of the relays where it did, each with the number of mails that the relay had taken when it first did. */
  readonly met: Map<string, number>;
}

/** A place and a token at a relay, reserved for one mail. One of the two functions must be called. */
export interface Place {
  /** Whether this mail decides if the relay's circuit closes. */
  isTrial: boolean;
  /** Sends the mail. Resolves to nothing when that told nothing of the mail: it is sent again, here or elsewhere. */
  send: (transfer: Transfer) => Promise<Result | undefined>;
  /** Returns the place and the token unused. */
  cancel: () => void;
}
