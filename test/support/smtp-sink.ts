import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";

/** A mail that the sink took. */
export interface Taken {
  to: string;
  raw: string;
  messageId: string;
}

/**
 * How the sink answers one recipient: a reply code of 4xx or 5xx refuses, also with words of its own; undefined takes,
 * "stall" never answers.
 */
export type Rule = (address: string) => number | [number, string] | "stall" | undefined;

/** An SMTP server in this process that keeps what it took. */
export interface SmtpSink {
  url: string;
  port: number;
  taken: Taken[];
  /** Recipients that were named to it, taken or not. */
  offered: Set<string>;
  close(): Promise<void>;
}

/**
 * Starts a sink, on loopback unless a host is given. `refuseSender`: its reply code to MAIL; `delayMs` is how long it takes over each message; with a
 * `password` it asks for that.
 */
export async function startSink({
  rule = () => undefined,
  refuseSender = () => undefined,
  delayMs = 0,
  port = 0,
  password,
  host = "127.0.0.1",
}: {
  rule?: Rule;
  refuseSender?: () => number | undefined;
  delayMs?: number;
  port?: number;
  password?: string;
  host?: string;
} = {}): Promise<SmtpSink> {
  const taken: Taken[] = [];
  const offered = new Set<string>();
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
        await sleep(delayMs, undefined, { ref: false });
        for (const { address } of session.envelope.rcptTo)
          taken.push({ to: address, raw, messageId: idIn(raw) });
        return `2.0.0 taken as ${taken.length}`;
      };
      // A client that was killed breaks off in the middle.
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
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  };
}

function idIn(raw: string): string {
  return /^Message-ID: <([^@>]+)/im.exec(raw)?.[1] ?? "";
}
