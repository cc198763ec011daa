import nodemailer, { type SMTPPoolOptions } from "nodemailer";
import type { Fault } from "./classify.ts";
import type { Mail } from "./mail.ts";

const CONNECTION_MS = 15_000;
const GREETING_MS = 15_000;
/** RFC 5321 §4.5.3.2.6 asks for ten minutes after the final dot; giving up earlier widens the duplicate window. */
const SOCKET_MS = 600_000;

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** How to reach a relay. */
export interface RelayOptions {
  /** `smtp://` (STARTTLS where the relay offers it) or `smtps://`. */
  url: string;
  connections: number;
  ehloName: string;
}

/** The relay's answer to a mail that it took, or what went wrong. */
export type Sent = { taken: true; reply: string } | { taken: false; fault: Fault };

/** Hands mails to one relay over a pool of connections. */
export interface MailTransport {
  send(mail: Mail): Promise<Sent>;
  /** Connects, greets and authenticates. Resolves to the fault, if there is one. */
  probe(): Promise<Fault | undefined>;
  close(): void;
}

/** Creates a transport; it connects when there is something to send. */
export function createMailTransport(options: RelayOptions): MailTransport {
  const pool = createPool(options);
  return {
    async send(mail) {
      let bodyRead = false;
      const onBodyRead = () => (bodyRead = true);
      const textEncoding = "quoted-printable" as const;
      const options = { ...mail, to: [...mail.to], textEncoding, onBodyRead };
      try {
        const { response } = await pool.sendMail(options);
        return { taken: true, reply: response };
      } catch (error) {
        return { taken: false, fault: toFault(error, bodyRead) };
      }
    },
    async probe() {
      const failed = (error: unknown) => toFault(error, false);
      return pool.verify().then(() => undefined, failed);
    },
    close: () => pool.close({ force: true }),
  };
}

function createPool({ url, connections, ehloName }: RelayOptions) {
  const { protocol, hostname, port, username, password } = new URL(url);
  const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  const options: SMTPPoolOptions & { pool: true } = {
    pool: true,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || (protocol === "smtps:" ? 465 : 587)),
    secure: protocol === "smtps:",
    ...(username ? { auth } : {}),
    // RFC 7435: encryption with an unknown peer beats none; a password goes only to a verified one, or over loopback.
    requireTLS: username !== "" && !LOOPBACK.test(hostname),
    tls: { rejectUnauthorized: username !== "" || protocol === "smtps:" },
    name: ehloName,
    maxConnections: connections,
    maxMessages: Number.MAX_SAFE_INTEGER,
    maxRequeues: 1,
    connectionTimeout: CONNECTION_MS,
    greetingTimeout: GREETING_MS,
    socketTimeout: SOCKET_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  const pool = nodemailer.createTransport(options);
  // Only the stream tells whether the final dot may have been sent: every lost connection has the same error.
  // n.b. its last stage ends when the connection has read all of it, which is after the reply to DATA.
  pool.use("stream", (mail, done) => {
    const { onBodyRead } = mail.data as unknown as { onBodyRead: () => void };
    mail.message.processFunc((body) => body.once("end", onBodyRead));
    done();
  });
  return pool;
}

/** n.b. nodemailer's error messages quote recipients, so only its fields go on. */
function toFault(error: unknown, bodyRead: boolean): Fault {
  const { code, command, responseCode, response } = error as Record<string, unknown>;
  return {
    code: typeof code === "string" ? code : "UNKNOWN",
    command: typeof command === "string" ? command : "",
    ...(typeof responseCode === "number" ? { responseCode } : {}),
    ...(typeof response === "string" ? { response } : {}),
    bodyRead,
  };
}
