import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { SMTPServer, type SMTPServerSession } from "smtp-server";
import { type Random } from "@wellsent/testing";

/** How long the relay takes over a mail, in milliseconds: enough to have some tens of them at a time. */
const LEAST_MS = 30;
const MOST_MS = 220;

/** Recipients that the relay never takes: refused for good, and refused for a while, each time. */
export const GONE = "gone.example";
export const NEVER = "never.example";

/**
 * What the relay is like at the moment. `refusing`: 451 to half of the mails, at RCPT or the final dot; `closed`: 421 to
 * every connection; `stalling`: answers nothing; `dropping`: breaks off after the final dot, half of the mails taken;
 * `throttling`: 450 4.7.1 at MAIL.
 */
export type Mood = "well" | "refusing" | "closed" | "stalling" | "dropping" | "throttling";

/** A mail that the relay took, in its own log. */
export interface Take {
  emailId: string;
  recipient: string;
  /** When it was offered, and when it was decided to answer 250, in milliseconds since the epoch. */
  begun: number;
  time: number;
  session: Session;
}

/** One connection to the relay. */
export interface Session {
  /** The name that its client gave in EHLO. */
  by: string;
  /** When the relay or the network broke it off; a client that leaves of itself has its answers. */
  brokenOff?: number;
  /** When it last began a mail: one before that got its 250 through. */
  begun: number;
}

/** The relay, an SMTP server of the harness, with its own log. */
export class ChaosRelay {
  readonly takes: Take[] = [];
  /** When it last took a mail of each client, by the name in EHLO. */
  readonly lastTakes = new Map<string, number>();
  /** Recipients that were refused for good. */
  readonly refused = new Set<string>();
  mood: Mood = "well";
  #password: string;
  #inTransaction = 0;
  #wellAgain = Promise.withResolvers<undefined>();
  readonly #random: Random;
  readonly #server: SMTPServer;
  readonly #sockets = new Map<number, Socket>();
  readonly #brokenOff = new WeakSet<Socket>();
  readonly #sessions = new WeakMap<SMTPServerSession, Session>();

  constructor(password: string, random: Random) {
    this.#password = password;
    this.#random = random;
    this.#server = this.#createServer();
  }

  /** Listens on loopback; resolves to the port. */
  async start(): Promise<number> {
    const listening = this.#server.listen(0, "127.0.0.1");
    await once(listening, "listening");
    listening.on("connection", (socket) => {
      const { remotePort = 0 } = socket;
      this.#sockets.set(remotePort, socket);
      socket.once("close", () => this.#sockets.delete(remotePort));
    });
    return (listening.address() as AddressInfo).port;
  }

  /** Mails that were begun and have no answer yet. */
  get inTransaction(): number {
    return this.#inTransaction;
  }

  /** Turns to another mood; a relay that closes breaks off what is under way. */
  turn(mood: Mood): void {
    this.mood = mood;
    if (mood === "closed") this.#breakAll();
    if (mood === "stalling") this.#wellAgain = Promise.withResolvers();
    else this.#wellAgain.resolve(undefined);
  }

  /** Wants another password from now on, and ends the sessions of those who had the old one. */
  changePassword(password: string): void {
    this.#password = password;
    this.#breakAll();
  }

  stop(): void {
    this.turn("well");
    this.#breakAll();
    this.#server.close();
  }

  #createServer(): SMTPServer {
    const server = new SMTPServer({
      disabledCommands: ["STARTTLS"],
      allowInsecureAuth: true,
      disableReverseLookup: true,
      onConnect: (_session, done) => void this.#greet().then(done),
      onAuth: ({ username, password }, _session, done) => {
        const right = password === this.#password;
        done(right ? null : reply(535, "5.7.8 not these days"), { user: username });
      },
      onMailFrom: (_address, session, done) => void this.#begin(session).then(done),
      onRcptTo: ({ address }, _session, done) => void this.#judge(address).then(done),
      onData: (stream, session, done) => {
        const taking = text(stream).then((raw) => this.#take(raw, session));
        taking.then(
          (error) => done(error ?? null, "2.0.0 taken"),
          () => done(reply(451, "broken off")),
        );
      },
    });
    server.on("error", () => undefined);
    return server;
  }

  async #greet(): Promise<Error | null> {
    await this.#wait();
    return this.mood === "closed" ? reply(421, "4.3.2 closed for now") : null;
  }

  async #begin(session: SMTPServerSession): Promise<Error | null> {
    this.#sessionOf(session).begun = Date.now();
    await this.#wait();
    return this.mood === "throttling" ? reply(450, "4.7.1 too much of you") : null;
  }

  async #judge(address: string): Promise<Error | null> {
    await this.#wait();
    if (address.endsWith(`@${NEVER}`)) return reply(451, "4.2.1 never");
    if (this.mood === "refusing" && this.#random.chance(0.3)) return reply(451, "4.3.0 not now");
    if (!address.endsWith(`@${GONE}`)) return null;
    this.refused.add(address);
    return reply(550, "5.1.1 gone");
  }

  async #take(raw: string, session: SMTPServerSession): Promise<Error | undefined> {
    this.#inTransaction += 1;
    await sleep(this.#random.whole(LEAST_MS, MOST_MS));
    await this.#wait();
    this.#inTransaction -= 1;
    const drops = this.mood === "dropping" && this.#random.chance(0.5);
    const loses = drops && this.#random.chance(0.5);
    if (this.mood === "refusing" && this.#random.chance(0.3)) return reply(451, "4.3.0 not now");
    if (!loses) this.#log(raw, session);
    if (drops) this.#breakOff(this.#sockets.get(session.remotePort));
    return undefined;
  }

  #log(raw: string, session: SMTPServerSession): void {
    const emailId = /^Message-ID:\s*<([^@>]+)/im.exec(raw)?.[1] ?? "";
    const known = this.#sessionOf(session);
    const { begun, by } = known;
    const time = Date.now();
    this.lastTakes.set(by, time);
    for (const { address: recipient } of session.envelope.rcptTo)
      this.takes.push({ emailId, recipient, begun, time, session: known });
  }

  #sessionOf(session: SMTPServerSession): Session {
    const known = this.#sessions.get(session);
    if (known) return known;
    const first: Session = {
      by: (session.hostNameAppearsAs || "").replace(".example", ""),
      begun: 0,
    };
    this.#sessions.set(session, first);
    const socket = this.#sockets.get(session.remotePort);
    socket?.once("close", (hadError) => {
      if (hadError || this.#brokenOff.has(socket)) first.brokenOff = Date.now();
    });
    return first;
  }

  async #wait(): Promise<void> {
    if (this.mood === "stalling") await this.#wellAgain.promise;
  }

  #breakAll(): void {
    for (const socket of this.#sockets.values()) this.#breakOff(socket);
  }

  #breakOff(socket?: Socket): void {
    if (socket) this.#brokenOff.add(socket);
    socket?.resetAndDestroy();
  }
}

function reply(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
