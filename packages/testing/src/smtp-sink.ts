import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";

/** One recipient's copy of a mail that the sink accepted. */
export interface Taken {
  to: string;
  raw: string;
  /** The part of Message-ID before the @; empty where there is none. */
  messageId: string;
}

/**
 * Decides about one recipient at RCPT: a reply code of 4xx or 5xx, alone or with a text, refuses it; "stall" never
 * answers; undefined accepts.
 */
export type Rule = (address: string) => number | [number, string] | "stall" | undefined;

/** An SMTP server in this process that keeps the mails it accepts. */
export interface SmtpSink {
  url: string;
  port: number;
  taken: Taken[];
  /** Recipients of all RCPT commands, accepted or not. */
  offered: Set<string>;
  /** Recipients of all mails whose final dot has arrived, answered or not. */
  received: Set<string>;
  close(): Promise<void>;
}

/** Options of {@link startSink}. */
export interface SinkOptions {
  /** Default: accepts every recipient. */
  rule?: Rule;
  /** Returns the reply code that refuses MAIL, or undefined to accept it. */
  refuseSender?: () => number | undefined;
  /** The time between the end of a mail and its final reply. Default: 0. */
  delayMs?: number;
  /** Default: one that the system chooses. */
  port?: number;
  /** The password that AUTH must show, with any user name. Default: AUTH is not offered. */
  password?: string;
  /** Default: 127.0.0.1. */
  host?: string;
}

/** Starts a sink. */
export async function startSink({
  rule = () => undefined,
  refuseSender = () => undefined,
  delayMs = 0,
  port = 0,
  password,
  host = "127.0.0.1",
}: SinkOptions = {}): Promise<SmtpSink> {
  const taken: Taken[] = [];
  const offered = new Set<string>();
  const received = new Set<string>();
  const server = new SMTPServer({
    disabledCommands: password === undefined ? ["AUTH", "STARTTLS"] : ["STARTTLS"],
    allowInsecureAuth: true,
    onAuth: ({ username, password: shown }, _session, done) =>
      done(shown === password ? null : new Error("wrong password"), { user: username }),
    disableReverseLookup: true,
    onMailFrom(_address, _session, done) {
      const responseCode = refuseSender();
      done(
        responseCode === undefined
          ? null
          : Object.assign(new Error("sender refused"), { responseCode }),
      );
    },
    onRcptTo({ address }, _session, done) {
      offered.add(address);
      const answer = rule(address);
      if (answer === "stall") return;
      const [responseCode, words] = Array.isArray(answer) ? answer : [answer, "refused by rule"];
      done(responseCode === undefined ? null : Object.assign(new Error(words), { responseCode }));
    },
    onData(stream, session, done) {
      const take = async () => {
        const raw = await text(stream);
        for (const { address } of session.envelope.rcptTo) received.add(address);
        await sleep(delayMs, undefined, { ref: false });
        for (const { address } of session.envelope.rcptTo) {
          taken.push({ to: address, raw, messageId: idIn(raw) });
        }
        return `2.0.0 taken as ${taken.length}`;
      };
      // A client that is killed ends the stream with an error.
      take().then((reply) => done(null, reply), done);
    },
  });
  server.on("error", () => undefined);
  const listening = server.listen(port, host);
  await once(listening, "listening");
  const { port: bound } = listening.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${bound}`,
    port: bound,
    taken,
    offered,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  };
}

function idIn(raw: string): string {
  return /^Message-ID: <([^@>]+)/im.exec(raw)?.[1] ?? "";
}
