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
  /** How long mails are held while every relay is in trouble, before they are given back to the broker. */
  held: 600_000,
};

/** Such as {@link PATIENCE}. */
export type Patience = typeof PATIENCE;

/** What became of a mail at a relay; the relay's own trouble is waited out and never seen here. */
export interface Result {
  verdict: "sent" | Exclude<Verdict, "relay">;
  reply: string;
  /** The name of the relay that answered. */
  relay: string;
}

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

/**
 * Hands a mail over. Resolves to nothing when that told nothing of the mail: it is to go again, here or elsewhere.
 * n.b. a place and a token are kept for it, so it must be called.
 */
export type Hand = (passage: Passage) => Promise<Result | undefined>;

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
  metrics: Pick<EmailerMetrics, "authRefused" | "circuitOpen" | "sendSeconds">;
  log: Log;
}
