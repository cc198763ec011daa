import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Where in an SMTP session a relay answers. `dot` is the end of a mail. */
export type Phase = "greeting" | "EHLO" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "dot";

/** One client connection to a relay. Times are milliseconds since the epoch. */
export interface Session {
  /** The first label of the name in EHLO. */
  by: string;
  /** The time of the last MAIL command; the mail before it has its final reply. */
  begun: number;
  /** The time at which the relay or the network ended the connection, if not the client. */
  brokenOff?: number;
  /** Number of MAIL commands. */
  mails: number;
  recipients: string[];
  socket: Socket;
}

/** Returns the reply, or "drop" to end the connection. `text` is the command, or the whole mail at the dot. */
export type Answer = (phase: Phase, text: string, session: Session) => Promise<string>;

/** Replies of a relay that accepts everything. */
export const WELL: Readonly<Record<Phase, string>> = {
  greeting: "220 relay.example ESMTP",
  EHLO: "250-relay.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN",
  AUTH: "235 2.7.0 accepted",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  dot: "250 2.0.0 taken",
};

/** An SMTP server without a mind of its own: a function gives every reply, as late as it likes. */
export class SmtpRelay {
  readonly #answer: Answer;
  readonly #sessions = new Set<Session>();
  readonly #server = createServer((socket) => this.#accept(socket));

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  /** Listens on loopback; resolves to the port. */
  async start(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections. */
  breakAll(): void {
    for (const session of this.#sessions) breakOff(session);
  }

  stop(): void {
    this.#server.close();
    this.breakAll();
  }

  #accept(socket: Socket): void {
    const session: Session = { by: "", begun: 0, mails: 0, recipients: [], socket };
    this.#sessions.add(session);
    socket.on("error", () => {
      session.brokenOff ??= Date.now();
    });
    socket.on("close", () => this.#sessions.delete(session));
    // A client that breaks off ends its session with an error.
    converse(session, this.#answer).catch(() => undefined);
  }
}

/** Resets a connection. */
function breakOff(session: Session): void {
  session.brokenOff ??= Date.now();
  session.socket.resetAndDestroy();
}

async function converse(session: Session, answer: Answer): Promise<void> {
  const { socket } = session;
  const reply = async (phase: Phase, text: string): Promise<string> => {
    const given = await answer(phase, text, session);
    if (given === "drop") breakOff(session);
    else socket.write(`${given}\r\n`);
    if (given.startsWith("421")) socket.end();
    return given;
  };
  const lines = createInterface({ input: socket }).on("error", () => undefined);
  // The iterator exists before the first reply, so that it misses no line and not the end.
  const commands = lines[Symbol.asyncIterator]();
  let mail: string[] | undefined;
  await reply("greeting", "");
  for await (const line of commands) {
    if (mail && line !== ".") {
      mail.push(line);
      continue;
    }
    const phase = mail ? "dot" : note(line, session);
    const text = mail?.join("\n") ?? line;
    mail = undefined;
    if (phase === "QUIT") socket.end("221 2.0.0 bye\r\n");
    else if (phase === "other") socket.write("250 2.0.0 ok\r\n");
    else if ((await reply(phase, text)).startsWith("354")) mail = [];
  }
}

/** Notes what a command says of its session, and returns its phase. */
function note(line: string, session: Session): Phase | "QUIT" | "other" {
  const verb = line.slice(0, 4).toUpperCase();
  switch (verb) {
    case "EHLO":
    case "HELO":
      session.by = line.slice(5).replace(/\..*/, "");
      return "EHLO";
    case "MAIL":
      session.begun = Date.now();
      session.mails += 1;
      session.recipients = [];
      return verb;
    case "RCPT":
      session.recipients.push(addressIn(line));
      return verb;
    case "AUTH":
    case "DATA":
    case "QUIT":
      return verb;
    default:
      return "other";
  }
}

/** The address of a MAIL or RCPT command. */
export function addressIn(line: string): string {
  return /<(.*)>/.exec(line)?.[1] ?? "";
}
