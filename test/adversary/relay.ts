import { setTimeout as sleep } from "node:timers/promises";
import { addressIn, SmtpRelay, WELL, type Phase, type Session } from "../chaos/smtp-relay.ts";

/** The phases in which a relay may be slow. */
export const SLOW_PHASES = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot"] as const;

/** A mail that the relay accepted. Times are milliseconds since the epoch. */
export interface Take {
  recipient: string;
  emailId: string;
  /** The name of the emailer. */
  by: string;
  /** The time of MAIL, of the dot, and of the final 250. */
  begun: number;
  dot: number;
  time: number;
}

/** How the relay behaves in one episode. */
export interface Behaviour {
  slow?: { phase: Phase; ms: number };
  /** The relay is away: every new connection is closed. */
  away: boolean;
  /** Whether a recipient's first mail is refused with 451 4.7.1 at the dot. */
  greylists: (recipient: string) => boolean;
}

const KIND: Behaviour = { away: false, greylists: () => false };

/** A relay that is slow, away or greylists, as an episode wants, and tells it of every step. */
export class AdversaryRelay {
  readonly takes: Take[] = [];
  behaviour = KIND;
  /** Called at each phase of each mail, before the relay is slow. */
  onPhase: (phase: Phase, session: Session) => void = () => undefined;
  readonly #greylisted = new Set<string>();
  readonly #relay = new SmtpRelay((...given) => this.#answer(...given));

  start(): Promise<number> {
    return this.#relay.start();
  }

  stop(): void {
    this.#relay.stop();
  }

  /** Accepts everything at once from now on. */
  relent(): void {
    this.behaviour = KIND;
    this.onPhase = () => undefined;
  }

  async #answer(phase: Phase, text: string, session: Session): Promise<string> {
    const dot = Date.now();
    if (this.behaviour.away && phase === "greeting") return "drop";
    this.onPhase(phase, session);
    const { slow } = this.behaviour;
    if (slow?.phase === phase) await sleep(slow.ms);
    if (phase !== "dot") return WELL[phase];
    const [recipient = ""] = session.recipients;
    if (this.behaviour.greylists(recipient) && !this.#greylisted.has(recipient)) {
      this.#greylisted.add(recipient);
      return "451 4.7.1 greylisted, try again later";
    }
    this.#take(text, recipient, dot, session);
    return WELL.dot;
  }

  #take(raw: string, recipient: string, dot: number, session: Session): void {
    const { by, begun } = session;
    const emailId = addressIn(/^Message-ID:.*$/im.exec(raw)?.[0] ?? "").split("@")[0] ?? "";
    this.takes.push({ recipient, emailId, by, begun, dot, time: Date.now() });
  }
}
