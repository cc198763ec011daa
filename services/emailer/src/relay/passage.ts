import type { Reason } from "@wellsent/contract";
import type { Log } from "@wellsent/runtime";
import type { Verdict } from "./classify.ts";
import type { Mail } from "../mail/mime.ts";
import type { EmailerMetrics } from "../metrics.ts";
import type { Relay } from "./relay.ts";

/**
 * How long we wait, in milliseconds. RFC 5321 §4.5.3.2 gives a relay five minutes for a reply, and ten for the final one:
 * giving that up earlier widens the duplicate window. A mail that needs five minutes gets them in the end; a dead relay is
 * found sooner.
 */
export const PATIENCE = {
  /** Until a relay is ready for MAIL, and from there until it asks for the body; the first time, and after each stall. */
  alone: [10_000, 60_000, 300_000] as readonly [number, ...number[]],
  /** The first time, while the mail could go to another relay. */
  hasty: 3_000,
  /** For the final reply. */
  final: 600_000,
  /** How long a relay is left alone at first; half of it after a broken connection, for others to pass or not. */
  pause: 1_000,
  /** How long a mail waits for a relay that admits it, before its delivery goes one rung down the ladder. */
  held: 600_000,
};

/** Such as {@link PATIENCE}. */
export type Patience = typeof PATIENCE;

/** What became of a mail at a relay; the relay's own trouble is waited out and never seen here. */
export interface Result {
  verdict: "sent" | Exclude<Verdict, "relay" | "connection">;
  reply: string;
  /** Why the verdict is another one than the reply says. */
  reason?: Reason;
  /** The name of the relay that answered. */
  relay: string;
}

/** What the sender of a mail decides while it is sent. */
export interface SendOptions {
  /** Aborts when the delivery's channel is lost. Before the final dot the mail is broken off, after it the reply is waited for. */
  signal: AbortSignal;
  /**
   * Called once, when a relay first admits the mail and before anything of it is sent. False: do not send it; its place and
   * token are returned.
   */
  admit: () => Promise<boolean>;
}

/** What became of a mail: the relay's answer; or no relay admitted it in time, or `admit` withdrew it, and nothing was sent. */
export type SendResult = Result | { verdict: "held" } | { verdict: "withdrawn" };

/** A mail on its way to a relay, and what it met. */
export interface Passage {
  mail: Mail;
  /** Aborts when nobody waits for it any more. */
  signal: AbortSignal;
  /** Whether it went again at once after its connection was lost: one that was kept open may have been lost long before. */
  again: boolean;
  /** How often a relay left it without an answer. */
  stalls: number;
  /** How often it broke a connection, less those that were not its doing. */
  breaks: number;
  /** The relay whose circuit it opened by that. */
  opened?: Relay;
}

/** A place and a token at a relay, reserved for one mail. One of the two must be called. */
export interface Hand {
  /** Hands the mail over. Resolves to nothing when the relay told nothing of the mail: it is sent again, here or elsewhere. */
  send: (passage: Passage) => Promise<Result | undefined>;
  /** Returns the place and the token unused. */
  cancel: () => void;
}

/** What every relay needs. */
export interface RelayContext {
  patience: Patience;
  /** Aborts when there is nothing more to send: lets go of what waits for a relay, and ends the probes. */
  ending: AbortSignal;
  /** Whether mail would go to another relay. */
  isOtherWell: (relay: Relay) => boolean;
  /** Called when it may {@link Relay.enter} again, and when its circuit opens or closes. */
  onChange: () => void;
  /** Called when its circuit has opened because mails wait there without an answer. */
  onSilent: () => void;
  metrics: Pick<EmailerMetrics, "authRefused" | "circuitOpen" | "refusingAll" | "sendSeconds">;
  log: Log;
}
