import { connect } from "node:net";
import { createTransport } from "nodemailer";
import { Registry } from "prom-client";
import { loadConfig } from "../src/config.ts";
import { toContent, type Mail } from "../src/mail/mime.ts";
import { createEmailerMetrics } from "../src/metrics.ts";
import { Relays } from "../src/relay/relays.ts";

/** A way to send mails, whose speed is measured. */
export interface Side {
  /** Sends mails of `bytes` bytes to `count` recipients and returns the mails per second. */
  run: (count: number, bytes: number) => Promise<number>;
  /** Ends its connections. */
  close: () => Promise<void>;
}

const CONNECTIONS = 10;
/** The default of `PREFETCH`: the number of mails that are sent at a time. */
const IN_FLIGHT = 100;
const LINE = "A line of a mail that is neither long nor short.\n";

/** The emailer's relays, with one relay on a loopback port. */
export function relaysAt(port: number): Side {
  const { relays } = loadConfig({
    AMQP_URL: "amqp://broker",
    MAIL_FROM: "post@horn.example",
    SMTP_URLS: `smtp://127.0.0.1:${port}?connections=${CONNECTIONS}`,
  });
  const ending = new AbortController();
  const quiet = () => undefined;
  const side = new Relays({
    relays,
    ending: ending.signal,
    onDown: quiet,
    onUp: quiet,
    metrics: createEmailerMetrics(new Registry()),
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
  const live = new AbortController().signal;
  const admit = () => Promise.resolve(true);
  const send = async (mail: Mail) => {
    const { verdict } = await side.send(mail, { signal: live, admit });
    if (verdict !== "sent") throw new Error(`A mail was not sent: ${verdict}`);
  };
  return { run: (count, bytes) => rateOf(send, count, bytes), close: () => side.stop() };
}

/**
 * A bare nodemailer pool. Without `noDelay`, each mail waits for a delayed acknowledgement of 40 ms, because nodemailer writes
 * the end of a body apart and leaves Nagle's algorithm on.
 */
export function poolAt(port: number, noDelay: boolean): Side {
  const pool = createTransport({
    pool: true,
    host: "127.0.0.1",
    port,
    maxConnections: CONNECTIONS,
    maxMessages: Infinity,
    getSocket: (_options: unknown, done: (error: null, socket: object) => void) => {
      const connection = connect({ host: "127.0.0.1", port, noDelay });
      connection.once("connect", () => done(null, { connection }));
    },
  });
  const send = (mail: Mail) => pool.sendMail({ ...toContent(mail), envelope: mail.envelope });
  return {
    run: (count, bytes) => rateOf(send, count, bytes),
    close: () => {
      pool.close();
      return Promise.resolve();
    },
  };
}

/** Sends all mails, {@link IN_FLIGHT} at a time, and returns the emails per second. */
async function rateOf(send: (mail: Mail) => Promise<unknown>, count: number, bytes: number) {
  const text = LINE.repeat(Math.ceil(bytes / LINE.length));
  const began = performance.now();
  let next = 0;
  const sender = async () => {
    while (next < count) {
      next += 1;
      await send(mailTo(`user${next}@example.com`, text));
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
  return (count / (performance.now() - began)) * 1_000;
}

function mailTo(to: string, text: string): Mail {
  return {
    envelope: { from: "bounces@horn.example", to },
    from: { name: "Wellsent", address: "post@horn.example" },
    to: [to],
    subject: "A subject",
    text,
    date: new Date(),
    messageId: `<${to}>`,
  };
}
