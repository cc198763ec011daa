import { afterEach, describe, expect, it } from "@jest/globals";
import { classify, explainBriefly, isAuthRefused, isOfOneMail } from "../src/relay/classify.ts";
import { createMailTransport, type MailTransport, type Sent } from "../src/relay/smtp-transport.ts";
import type { RelayConfig } from "../src/config.ts";
import { startScriptedRelay, type Behaviour, type Phase, type Script } from "./scripted-relay.ts";
import { mailTo, relayAt } from "./support.ts";

const ADA = mailTo("ada@example.com");
const PATIENCE_MS = 250;
/** Where nothing stalls, a busy machine has its time. */
const LONG_MS = 5_000;
const FINAL_MS = 1_000;
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

const patienceAt = (behaviour: Behaviour) => (behaviour === "stall" ? PATIENCE_MS : LONG_MS);
const TRANSACTION: Phase[] = ["MAIL", "RCPT", "DATA", "dot"];
const BEHAVIOURS: [Phase, Behaviour, string][] = [
  ["greeting", "421 4.3.2 not now", "relay"],
  ["greeting", "451 4.3.0 later", "relay"],
  ["greeting", "554 5.3.2 go away", "relay"],
  ["greeting", "drop", "relay"],
  ["greeting", "stall", "relay"],
  ["EHLO", "421 4.3.2 not now", "relay"],
  ["EHLO", "451 4.3.0 later", "relay"],
  ["EHLO", "550 5.7.1 who are you", "relay"],
  ["EHLO", "drop", "relay"],
  ["EHLO", "stall", "relay"],
  ["STARTTLS", "454 4.7.0 not now", "relay"],
  ["STARTTLS", "501 5.5.4 no", "relay"],
  ["STARTTLS", "drop", "relay"],
  ["STARTTLS", "stall", "relay"],
  ["AUTH", "421 4.3.2 not now", "relay"],
  ["AUTH", "454 4.7.0 not now", "relay"],
  ["AUTH", "535 5.7.8 wrong password", "relay"],
  ["AUTH", "504 5.5.4 unknown method", "relay"],
  ["AUTH", "drop", "relay"],
  ["AUTH", "stall", "relay"],
  ["MAIL", "421 4.3.2 closing", "connection"],
  ["MAIL", "451 4.3.0 later", "deferred"],
  ["MAIL", "451 4.7.1 slow down", "relay"],
  ["MAIL", "530 5.7.0 authenticate first", "relay"],
  ["MAIL", "550 5.1.8 bad sender", "sender-refused"],
  ["MAIL", "drop", "connection"],
  ["MAIL", "stall", "relay"],
  ["RCPT", "421 4.3.2 closing", "connection"],
  ["RCPT", "450 4.2.1 later", "deferred"],
  ["RCPT", "451 4.7.1 greylisted", "deferred"],
  ["RCPT", "503 5.5.1 bad sequence", "connection"],
  ["RCPT", "no code", "connection"],
  ["RCPT", "250 2.1.5 ok\r\nstray", "connection"],
  ["RCPT", "554 5.7.1 Relay access denied", "relay"],
  ["RCPT", "553 5.7.1 Sender address rejected: not owned by user", "sender-refused"],
  ["RCPT", "550 5.1.1 no such user", "failed"],
  ["RCPT", "drop", "connection"],
  ["RCPT", "stall", "relay"],
  ["DATA", "421 4.3.2 closing", "connection"],
  ["DATA", "no code", "connection"],
  ["DATA", "451 4.3.0 later", "deferred"],
  ["DATA", "554 5.6.0 no", "failed"],
  ["DATA", "drop", "connection"],
  ["DATA", "stall", "relay"],
  ["dot", "421 4.3.2 closing", "connection"],
  ["dot", "451 4.7.1 greylisted", "deferred"],
  ["dot", "no code", "ambiguous"],
  ["dot", "2.0.0 taken", "ambiguous"],
  ["dot", "250-taken\r\n550 refused", "ambiguous"],
  ["dot", "354 out of step", "ambiguous"],
  ["dot", "451 4.3.0 later", "deferred"],
  ["dot", "454 4.7.0 slow down", "deferred"],
  ["dot", "552 5.3.4 too big", "failed"],
  ["dot", "drop", "ambiguous"],
  ["dot", "stall", "ambiguous"],
];
const OFFERS: Record<string, string> = {
  plain: "250-relay.example\r\n250 AUTH PLAIN LOGIN",
  pipelining: "250-relay.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN",
};

describe.each(Object.keys(OFFERS))("a relay's behaviour, %s", (offer) => {
  it.each(BEHAVIOURS)("at %s, %s, is classed %s", async (phase, behaviour, verdict) => {
    const { transport } = await start(
      (at) => {
        if (at === phase) return behaviour;
        if (at !== "EHLO") return undefined;
        return phase === "STARTTLS" ? "250-relay.example\r\n250 STARTTLS" : OFFERS[offer];
      },
      phase === "STARTTLS" ? { tls: "required" } : {},
    );

    expect(verdictOf(await transport.send(ADA, patienceAt(behaviour)))).toBe(verdict);
  });

  it.each(BEHAVIOURS.filter(([phase]) => TRANSACTION.includes(phase)))(
    "at %s, %s, is classed the same on a connection that carried a mail before",
    async (phase, behaviour, verdict) => {
      let mails = 0;
      const { transport } = await start((at) => {
        if (at === "EHLO") return OFFERS[offer];
        if (at === "MAIL") mails += 1;
        return at === phase && mails > 1 ? behaviour : undefined;
      });
      await transport.send(ADA, LONG_MS);

      expect(verdictOf(await transport.send(ADA, patienceAt(behaviour)))).toBe(verdict);
    },
  );
});

describe("createMailTransport", () => {
  it("tells what came before MAIL from what one mail may have caused", async () => {
    const faults = await Promise.all(
      (["greeting", "AUTH", "MAIL", "RCPT", "DATA"] as const).map(async (phase) => {
        const { transport } = await start((at) => (at === phase ? "drop" : undefined));
        return faultOf(await transport.send(ADA, LONG_MS));
      }),
    );

    expect(faults.map(isOfOneMail)).toEqual([false, false, true, true, true]);
  });

  it("waits for the final reply longer than for any other", async () => {
    const { transport, relay } = await start((at) => (at === "dot" ? "stall" : undefined));

    const began = performance.now();
    expect(verdictOf(await transport.send(ADA, PATIENCE_MS))).toBe("ambiguous");

    expect(performance.now() - began).toBeGreaterThan(FINAL_MS - 50);
    expect(relay.log.filter(({ phase }) => phase === "dot")).toHaveLength(1);
  });

  it.each<Phase>(["greeting", "AUTH", "MAIL", "RCPT", "DATA"])(
    "breaks off at %s a mail that nobody wants any more, and goes on with others",
    async (phase) => {
      const unwanted = new AbortController();
      const { transport, relay } = await start((at) => {
        if (at !== phase || unwanted.signal.aborted) return undefined;
        unwanted.abort();
        return "stall";
      });

      const sending = transport.send(ADA, LONG_MS, { unwanted: unwanted.signal });
      expect(await sending).toBeUndefined();
      await transport.send(mailTo("bob@example.com"), LONG_MS);

      expect(relay.taken).toEqual(["bob@example.com"]);
    },
  );

  it("waits for the final reply to a mail that nobody wants any more once its body is under way", async () => {
    const unwanted = new AbortController();
    const { transport, relay } = await start((at) => {
      if (at === "dot") unwanted.abort();
      return undefined;
    });

    expect(verdictOf(await transport.send(ADA, LONG_MS, { unwanted: unwanted.signal }))).toBe(
      "taken",
    );
    expect(relay.taken).toEqual(["ada@example.com"]);
  });

  it("reads user and password anew at each connect", async () => {
    let pass = "old";
    const { transport, relay } = await start(undefined, {
      credentials: () => ({ user: "user", pass }),
    });

    await transport.send(ADA, LONG_MS);
    pass = "new";
    transport.renew();
    await transport.send(ADA, LONG_MS);
    await transport.probe(LONG_MS);

    const shown = relay.log
      .filter(({ phase }) => phase === "AUTH")
      .map(({ line }) => Buffer.from(line.slice("AUTH PLAIN ".length), "base64").toString());
    expect(shown).toEqual(["\0user\0old", "\0user\0new", "\0user\0new"]);
  });

  it("sends nothing as a stranger to a relay that does not offer AUTH", async () => {
    const { transport, relay } = await start((at) =>
      at === "EHLO" ? "250 relay.example" : at === "AUTH" ? "502 5.5.1 what" : undefined,
    );

    const fault = faultOf(await transport.send(ADA, LONG_MS));

    expect(isAuthRefused(fault)).toBe(true);
    expect(relay.log.map(({ phase }) => phase)).not.toContain("MAIL");
  });

  it("calls a password that cannot be read a refused one", async () => {
    const { transport } = await start(undefined, {
      credentials: () => ({ user: "user", pass: "" }),
    });

    const fault = faultOf(await transport.send(ADA, LONG_MS));

    expect([classify(fault), isAuthRefused(fault)]).toEqual(["relay", true]);
  });

  it("names the system's reason where nobody answers", async () => {
    const { transport, relay } = await start();
    relay.close();

    expect(explainBriefly(faultOf(await transport.send(ADA, LONG_MS)))).toBe(
      "ECONNREFUSED at CONN",
    );
  });

  it("never has more connections than it may", async () => {
    const { transport, relay } = await start();

    await Promise.all(Array.from({ length: 20 }, () => transport.send(ADA, LONG_MS)));

    expect(relay.connections.most).toBe(2);
    expect(relay.taken).toHaveLength(20);
  });
});

async function start(script?: Script, config: Partial<RelayConfig> = {}) {
  const relay = await startScriptedRelay(script);
  const transport: MailTransport = createMailTransport(relayAt(relay.port, config), FINAL_MS);
  ended.push(relay.close, () => transport.close());
  return { relay, transport };
}

function verdictOf(sent?: Sent): string {
  if (sent === undefined) return "nothing";
  return sent.taken ? "taken" : classify(sent.fault);
}

function faultOf(sent?: Sent) {
  if (sent?.taken !== false) throw new Error("The relay took it");
  return sent.fault;
}
