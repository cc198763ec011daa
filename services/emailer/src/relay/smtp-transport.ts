import { once } from "node:events";
import { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { inTime } from "@wellsent/runtime";
import nodemailer from "nodemailer";
import { dnsCache } from "nodemailer/lib/shared";
import SMTPPool from "nodemailer/lib/smtp-pool";
import { UNKNOWN, type Fault } from "./classify.ts";
import type { RelayConfig } from "../config.ts";
import { toContent, type Mail } from "../mail/mime.ts";
import { isTaken } from "./smtp-reply.ts";
import { createProgress, type Course, type Progress } from "./smtp-phase.ts";

/** More than any relay is given to be ready: {@link MailTransport.send} ends it sooner. */
const CONNECT_MS = 60_000;
/** How long a relay may take to answer QUIT. */
const QUIT_MS = 1_000;

/** The relay's answer to a mail that it took, or what went wrong. */
export type Sent = { taken: true; reply: string } | { taken: false; fault: Fault };

/** Hands mails to one relay over a pool of connections. */
export type MailTransport = ReturnType<typeof createMailTransport>;

/** Creates a transport; it connects when there is something to send. `finalMs`: how long it waits for the final reply. */
export function createMailTransport(options: RelayConfig, finalMs: number) {
  let pool = createPool(options, finalMs);
  return {
    /**
     * Resolves to nothing for a mail that `renew` was called before it was begun, or that was not wanted any more.
     * `patienceMs`: how long the relay may take to be ready for MAIL, and then to ask for the body.
     */
    async send(mail: Mail, patienceMs: number, course: Course = {}): Promise<Sent | undefined> {
      const progress = createProgress(patienceMs, course);
      const used = pool;
      const content = { ...toContent(mail), envelope: envelopeOf(mail) };
      const how = { signal: progress.signal, progress } as const;
      try {
        const { response } = await used.sendMail({ ...content, ...how });
        return isTaken(response) ? { taken: true, reply: response } : inDoubt(response);
      } catch (error) {
        if (course.unwanted?.aborted && !progress.bodyRead) return undefined;
        if (used !== pool && !progress.begun) return undefined;
        return { taken: false, fault: toFault(error, progress) };
      } finally {
        progress.end();
        // n.b. a renewed pool closes a connection a turn after its mail's end, and the relay counts it until then.
        if (used !== pool) await nextTurn();
      }
    },
    /** Connects, greets and authenticates. Resolves to the fault, if there is one. */
    async probe(patienceMs: number): Promise<Fault | undefined> {
      // A relay may be back under another address, and nodemailer would go to the old one for five minutes.
      dnsCache.delete(options.host);
      const socket = new Socket();
      const prober = createPool(options, patienceMs, socket);
      const failed = (error: unknown) => toFault(error, { begun: false, bodyRead: false });
      const fault = await prober.verify().then(() => undefined, failed);
      // n.b. until it is closed it is one of the connections that the relay counts.
      if (!fault && !socket.closed) await inTime(QUIT_MS, once(socket, "close"));
      socket.destroy();
      return fault;
    },
    /** Lets go of the idle connections, and of the others when they are through: what follows gets new ones. */
    renew() {
      pool.close();
      pool = createPool(options, finalMs);
    },
    close: () => pool.close({ force: true }),
  };
}

/** Returns the envelope as objects, because nodemailer parses text again, by another grammar. */
function envelopeOf({ envelope: { from, to } }: Mail) {
  return { from: { name: "", address: from }, to: { name: "", address: to } };
}

/** With a socket of its own it makes that one connection. */
function createPool(relay: RelayConfig, socketTimeout: number, socket?: Socket) {
  const { tls, verified, ca, credentials, connections } = relay;
  const smtp = new SMTPPool({
    host: relay.host,
    port: relay.port,
    secure: tls === "implicit",
    requireTLS: tls === "required",
    opportunisticTLS: tls === "opportunistic",
    // n.b. without it a relay that does not offer AUTH gets the mail from a stranger, and refuses it for good.
    forceAuth: credentials !== undefined,
    name: relay.ehloName,
    maxConnections: connections,
    maxMessages: Number.MAX_SAFE_INTEGER,
    maxRequeues: 0,
    socketTimeout,
    connectionTimeout: Math.min(socketTimeout, CONNECT_MS),
    greetingTimeout: Math.min(socketTimeout, CONNECT_MS),
    ...(socket && { socket }),
  });
  // n.b. the pool copies its options once, and reads these at each connect: so what rotates is fresh.
  smtp.options.tls = {
    rejectUnauthorized: verified,
    get ca() {
      return ca?.();
    },
  };
  if (credentials)
    smtp.options.auth = {
      get user() {
        return credentials().user;
      },
      get pass() {
        return credentials().pass;
      },
    };
  const closed = { disableFileAccess: true, disableUrlAccess: true };
  const pool = nodemailer.createTransport(smtp, closed);
  pool.use("stream", (mail, done) => {
    const { progress } = mail.data as unknown as { progress: Progress };
    mail.message.processFunc((body) => progress.watch(body));
    done();
  });
  return pool;
}

/** nodemailer takes a reply for a yes that only begins with a 2, such as "250-taken" before "550 refused". */
function inDoubt(response: string): Sent {
  const fault = { code: "EPROTOCOL", command: "DATA", response, begun: true, bodyRead: true };
  return { taken: false, fault };
}

/** n.b. nodemailer's error messages quote recipients, so only its fields go on. */
function toFault(error: unknown, { begun, bodyRead }: Pick<Progress, "begun" | "bodyRead">): Fault {
  const { code, originalCode, command, responseCode, response } = error as Record<string, unknown>;
  return {
    code: code === "EABORT" ? "ETIMEDOUT" : typeof code === "string" ? code : UNKNOWN,
    ...(typeof originalCode === "string" ? { cause: originalCode } : {}),
    command: typeof command === "string" ? command : "",
    ...(typeof responseCode === "number" ? { responseCode } : {}),
    ...(typeof response === "string" ? { response } : {}),
    begun,
    bodyRead,
  };
}
