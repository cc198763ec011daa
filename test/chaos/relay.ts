import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "@wellsent/testing";
import { addressIn, SmtpRelay, WELL, type Phase, type Session } from "./smtp-relay.ts";

/** The usual time for a mail's final reply, in milliseconds: enough to have some tens of mails at a time. */
const LEAST_MS = 30;
const MOST_MS = 220;
/** How long a slow phase takes, in milliseconds. */
const SLOW_LEAST_MS = 1_000;
const SLOW_MOST_MS = 8_000;
/** Mails on one connection before a relay that limits them ends it. */
const MAILS_MAX = 5;

/** Recipients that the relay never accepts: it refuses them for good, or for a while each time. */
export const GONE = "gone.example";
export const NEVER = "never.example";

/** What a relay does in each mood. The mood "well" accepts everything else at its usual pace. */
export const MOODS = {
  refusing: "451 to some mails, at RCPT or at the final dot",
  closed: "421 to every connection, and breaks off all that is in flight",
  stalling: "answers nothing",
  dropping: "breaks off after the final dot, with half of the mails accepted",
  throttling: "450 4.7.1 at MAIL",
  "slow greeting": "greets after seconds",
  "slow EHLO": "answers EHLO after seconds",
  "slow dot": "answers the final dot after seconds",
  limiting: "421 to each connection after five mails",
  greylisting: "451 4.7.1 at the final dot, to a recipient's first mail",
  "refusing us": "554 5.7.1 at RCPT, because it does not relay for us",
} as const;

/** What the relay is like at the moment. */
export type Mood = keyof typeof MOODS | "well";

const SLOW: Partial<Record<Phase, Mood>> = {
  greeting: "slow greeting",
  EHLO: "slow EHLO",
  dot: "slow dot",
};

/** A mail that the relay accepted, in its own log. */
export interface Take {
  emailId: string;
  recipient: string;
  /** The times of MAIL and of the final 250, in milliseconds since the epoch. */
  begun: number;
  time: number;
  session: Pick<Session, "by" | "begun" | "brokenOff">;
}

/** The relay, an SMTP server of the harness, with its own log. */
export class ChaosRelay {
  readonly takes: Take[] = [];
  /** The time at which it last accepted a mail of each client, by the name in EHLO. */
  readonly lastTakes = new Map<string, number>();
  /** Recipients that it refused for good. */
  readonly refused = new Set<string>();
  mood: Mood = "well";
  #password: string;
  #wellAgain = Promise.withResolvers<undefined>();
  readonly #greylisted = new Set<string>();
  readonly #random: Random;
  readonly #relay = new SmtpRelay((...given) => this.#answer(...given));

  constructor(password: string, random: Random) {
    this.#password = password;
    this.#random = random;
  }

  /** Listens on loopback; resolves to the port. */
  start(): Promise<number> {
    return this.#relay.start();
  }

  /** Turns to another mood. */
  turn(mood: Mood): void {
    this.mood = mood;
    if (mood === "closed") this.#relay.breakAll();
    if (mood === "stalling") this.#wellAgain = Promise.withResolvers();
    else this.#wellAgain.resolve(undefined);
  }

  /** Wants another password from now on, and ends all sessions. */
  changePassword(password: string): void {
    this.#password = password;
    this.#relay.breakAll();
  }

  stop(): void {
    this.turn("well");
    this.#relay.stop();
  }

  async #answer(phase: Phase, text: string, session: Session): Promise<string> {
    if (SLOW[phase] === this.mood) await sleep(this.#random.whole(SLOW_LEAST_MS, SLOW_MOST_MS));
    if (phase === "dot") await sleep(this.#random.whole(LEAST_MS, MOST_MS));
    if (this.mood === "stalling") await this.#wellAgain.promise;
    switch (phase) {
      case "greeting":
        return this.mood === "closed" ? "421 4.3.2 closed for now" : WELL.greeting;
      case "AUTH":
        return this.#isRight(text) ? WELL.AUTH : "535 5.7.8 not these days";
      case "MAIL":
        return this.#begin(session);
      case "RCPT":
        return this.#judge(addressIn(text));
      case "dot":
        return this.#end(text, session);
      case "EHLO":
      case "DATA":
        return WELL[phase];
    }
  }

  /** `command`: AUTH PLAIN with the initial response of RFC 4616. */
  #isRight(command: string): boolean {
    const response = Buffer.from(command.split(" ")[2] ?? "", "base64").toString();
    return response.split("\0")[2] === this.#password;
  }

  #begin({ mails }: Session): string {
    if (this.mood === "throttling") return "450 4.7.1 too much of you";
    const isOver = this.mood === "limiting" && mails > MAILS_MAX;
    return isOver ? "421 4.7.0 too many mails on this connection" : WELL.MAIL;
  }

  #judge(address: string): string {
    if (address.endsWith(`@${NEVER}`)) return "451 4.2.1 never";
    if (this.mood === "refusing" && this.#random.chance(0.3)) return "451 4.3.0 not now";
    const refusesUs = this.mood === "refusing us";
    if (!refusesUs && !address.endsWith(`@${GONE}`)) return WELL.RCPT;
    this.refused.add(address);
    return refusesUs ? "554 5.7.1 <client>: Client host rejected: Access denied" : "550 5.1.1 gone";
  }

  #end(mail: string, session: Session): string {
    const [recipient = ""] = session.recipients;
    if (this.mood === "refusing" && this.#random.chance(0.3)) return "451 4.3.0 not now";
    if (this.mood === "greylisting" && !this.#greylisted.has(recipient)) {
      this.#greylisted.add(recipient);
      return "451 4.7.1 greylisted, try again later";
    }
    const drops = this.mood === "dropping" && this.#random.chance(0.5);
    if (drops && this.#random.chance(0.5)) return "drop";
    this.#log(mail, session);
    return drops ? "drop" : WELL.dot;
  }

  #log(mail: string, session: Session): void {
    const emailId = /^Message-ID:\s*<([^@>]+)/im.exec(mail)?.[1] ?? "";
    const { begun, by } = session;
    const time = Date.now();
    this.lastTakes.set(by, time);
    for (const recipient of session.recipients) {
      this.takes.push({ emailId, recipient, begun, time, session });
    }
  }
}
