import { afterEach, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { classify, explainBriefly } from "../src/relay/classify.ts";
import { loadConfig } from "../src/config.ts";
import { SmtpTransport } from "../src/relay/smtp-transport.ts";
import { TIMEOUTS } from "../src/relay/timeouts.ts";
import { mailTo } from "./support.ts";

const DIR = join(process.cwd(), "services/emailer/test/tls");
const CA = join(DIR, "ca.pem");
const ended: (() => void)[] = [];
const live = new AbortController().signal;

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("TLS to a relay", () => {
  it.each([
    ["smtps://localhost", "secure", `ca=${CA}`, "over TLS"],
    ["smtps://localhost", "secure", "", "relay: UNABLE_TO_VERIFY"],
    ["smtp://localhost", "offers", `ca=${CA}`, "over TLS"],
    ["smtp://localhost", "offers", "tls=required", "relay: UNABLE_TO_VERIFY"],
    ["smtp://localhost", "offers", "", "over TLS"],
    ["smtp://user:secret@localhost", "offers", "", "over TLS"],
    ["smtp://localhost", "plain", "", "in the clear"],
    ["smtp://user:secret@localhost", "plain", "", "in the clear"],
    ["smtp://user:secret@localhost", "plain", "tls=required", "relay: 5"],
    ["smtp://localhost", "plain", `ca=${CA}`, "relay: 5"],
  ])("%s, whose relay is %s, with %j: %s", async (base, kind, query, outcome) => {
    const server = await startServer(kind);
    const { relays } = loadConfig({
      AMQP_URL: "amqp://broker",
      MAIL_FROM: "post@horn.example",
      SMTP_URLS: `${base}:${server.port}?${query}`,
    });
    const [transport] = relays.map((relay) => new SmtpTransport(relay, TIMEOUTS));
    ended.push(() => void transport?.close());

    const sent = await transport?.send(mailTo("ada@example.com"), TIMEOUTS, live);

    const told = sent?.taken === false && `${classify(sent.fault)}: ${explainBriefly(sent.fault)}`;
    expect(told || server.how()).toContain(outcome);
    expect(server.how()).toBe(told ? "nothing came" : outcome);
  });
});

async function startServer(kind: string) {
  let how = "nothing came";
  const note: SMTPServerOptions["onMailFrom"] = (_address, session, done) => {
    how = session.secure ? "over TLS" : "in the clear";
    done();
  };
  const server = new SMTPServer({
    secure: kind === "secure",
    cert: readFileSync(join(DIR, "relay.pem")),
    key: readFileSync(join(DIR, "relay-key.pem")),
    authOptional: true,
    allowInsecureAuth: true,
    hideSTARTTLS: kind === "plain",
    disabledCommands: kind === "plain" ? ["STARTTLS"] : [],
    onAuth: (_auth, _session, done) => done(null, { user: "user" }),
    onMailFrom: note,
    onData: (stream, _session, done) => void stream.resume().on("end", () => done()),
  });
  server.on("error", () => undefined);
  const listening = server.listen(0, "localhost");
  await once(listening, "listening");
  ended.push(() => server.close(() => undefined));
  return { port: (listening.address() as AddressInfo).port, how: () => how };
}
