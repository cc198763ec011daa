import type { Log } from "@posthorn/chassis";
import type { Verdict } from "./classify.ts";
import type { Mail } from "./mail.ts";
import type { RelayOptions } from "./mail-transport.ts";
import type { EmailerMetrics } from "./metrics.ts";
import type { Patience } from "./patience.ts";
import type { Relay } from "./relay.ts";

/** What became of a mail at a relay; the relay's own trouble is waited out and never seen here. */
export interface Result {
  verdict: "sent" | Exclude<Verdict, "relay">;
  reply: string;
  /** The name of the relay that answered. */
  relay: string;
}

/** At most so many mails in any period of so many milliseconds. */
export interface Rate {
  mails: number;
  periodMs: number;
}

/** One relay, as it was configured. */
export interface RelayConfig extends RelayOptions {
  /** Host and port. */
  name: string;
  /** Without it there is no limit. */
  rate?: Rate | undefined;
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
