import { afterEach, describe, expect, it } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { classify, explainBriefly, isAuthRefused, isOfOneMail } from "../src/relay/classify.ts";
import type { Sent } from "../src/relay/smtp-fault.ts";
import { SmtpTransport } from "../src/relay/smtp-transport.ts";
import { TIMEOUTS, type Timeouts } from "../src/relay/timeouts.ts";
import type { RelayConfig } from "../src/config.ts";
import {
  startScriptedRelay,
  WELL,
  type Behaviour,
  type Phase,
  type Script,
  type ScriptedRelay,
} from "./scripted-relay.ts";
import { mailTo, relayAt, until } from "./support.ts";

const ADA = mailTo("ada@example.com");
const live = new AbortController().signal;
/** Where nothing stalls, a busy machine has its time. */
const LONG: Timeouts = { ...TIMEOUTS, stray: 250, final: 5_000 };
const SHORT: Timeouts = {
  ...LONG,
  greeting: 250,
  command: 250,
  data: 250,
  block: 250,
  final: 1_000,
};
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

const timeoutsAt = (behaviour: Behaviour) => (behaviour === "stall" ? SHORT : LONG);
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
  ["RCPT", "250 2.1.5 ok\r\nstray", "taken"],
  ["RCPT", "250-2.1.5 ok\r\n550 2.1.5 no", "connection"],
  ["DATA", "250 ok", "connection"],
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

    expect(verdictOf(await transport.send(ADA, timeoutsAt(behaviour), live))).toBe(verdict);
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
      await transport.send(ADA, LONG, live);

      expect(verdictOf(await transport.send(ADA, timeoutsAt(behaviour), live))).toBe(verdict);
    },
  );
});

describe("SmtpTransport", () => {
  it("tells what came before MAIL from what one mail may have caused", async () => {
    const faults = await Promise.all(
      (["greeting", "AUTH", "MAIL", "RCPT", "DATA"] as const).map(async (phase) => {
        const { transport } = await start((at) => (at === phase ? "drop" : undefined));
        return faultOf(await transport.send(ADA, LONG, live));
      }),
    );

    expect(faults.map(isOfOneMail)).toEqual([false, false, true, true, true]);
  });

  it("waits for the final reply longer than for any other", async () => {
    const { transport, relay } = await start((at) => (at === "dot" ? "stall" : undefined));

    const began = performance.now();
    expect(verdictOf(await transport.send(ADA, SHORT, live))).toBe("ambiguous");

    expect(performance.now() - began).toBeGreaterThan(SHORT.final - 50);
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

      const sending = transport.send(ADA, LONG, unwanted.signal);
      expect(await sending).toBeUndefined();
      await transport.send(mailTo("bob@example.com"), LONG, live);

      expect(relay.taken).toEqual(["bob@example.com"]);
    },
  );

  it("waits for the final reply to a mail that nobody wants any more once its body is under way", async () => {
    const unwanted = new AbortController();
    const { transport, relay } = await start((at) => {
      if (at === "dot") unwanted.abort();
      return undefined;
    });

    expect(verdictOf(await transport.send(ADA, LONG, unwanted.signal))).toBe("taken");
    expect(relay.taken).toEqual(["ada@example.com"]);
  });

  it("reads user and password again at each connect", async () => {
    let pass = "old";
    const { transport, relay } = await start(undefined, {
      credentials: () => ({ user: "user", pass }),
    });

    await transport.send(ADA, LONG, live);
    pass = "new";
    transport.renew();
    await transport.send(ADA, LONG, live);
    transport.renew();
    await transport.probe();

    const shown = relay.log
      .filter(({ phase }) => phase === "AUTH")
      .map(({ line }) => Buffer.from(line.slice("AUTH PLAIN ".length), "base64").toString());
    expect(shown).toEqual(["\0user\0old", "\0user\0new", "\0user\0new"]);
  });

  it("sends nothing as a stranger to a relay that does not offer AUTH", async () => {
    const replies: Record<string, string> = { EHLO: "250 relay.example", AUTH: "502 5.5.1 what" };
    const { transport, relay } = await start((at) => replies[at]);

    const fault = faultOf(await transport.send(ADA, LONG, live));

    expect(isAuthRefused(fault)).toBe(true);
    expect(relay.log.map(({ phase }) => phase)).not.toContain("MAIL");
  });

  it("calls a password that cannot be read a refused one", async () => {
    const { transport } = await start(undefined, {
      credentials: () => ({ user: "user", pass: "" }),
    });

    const fault = faultOf(await transport.send(ADA, LONG, live));

    expect([classify(fault), isAuthRefused(fault)]).toEqual(["relay", true]);
  });

  it("names the system's reason where nobody answers", async () => {
    const { transport, relay } = await start();
    relay.close();

    expect(explainBriefly(faultOf(await transport.send(ADA, LONG, live)))).toBe(
      "ECONNREFUSED at CONN",
    );
  });

  it("never has more connections than it may", async () => {
    const { transport, relay } = await start();

    for (let round = 0; round < 5; round += 1) {
      const sending = Array.from({ length: 2 }, () => transport.send(ADA, LONG, live));
      await Promise.all(sending);
      transport.renew();
    }

    expect(relay.connections.most).toBe(2);
    expect(relay.taken).toHaveLength(10);
  });

  it.each(["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"] as const)(
    "waits at %s as long as it is told",
    async (phase) => {
      const { transport } = await start(async (at) => {
        if (at === phase) await sleep(400);
        return WELL[at];
      });
      const patient = { ...SHORT, greeting: 5_000, command: 5_000, data: 5_000, final: 5_000 };

      expect(verdictOf(await transport.send(ADA, patient, live))).toBe("taken");
    },
  );

  it.each(["AUTH", "MAIL", "RCPT", "DATA", "dot", "RSET"] as const)(
    "survives a reset of the connection at %s",
    async (phase) => {
      const refused = phase === "RSET" ? "550 5.1.1 no" : undefined;
      let resets = 0;
      const { transport } = await start((at) => {
        if (at === phase && resets++ === 0) return "reset";
        return at === "RCPT" && resets === 0 ? refused : undefined;
      });

      await transport.send(ADA, LONG, live);

      expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
    },
  );

  it("uses a connection again after a refusal, and resets it", async () => {
    let refuses = true;
    const { transport, relay } = await start((at) =>
      at === "RCPT" && refuses ? "550 5.1.1 no" : undefined,
    );

    await transport.send(ADA, LONG, live);
    refuses = false;
    await transport.send(ADA, LONG, live);

    expect(count(relay, "greeting")).toBe(1);
    expect(count(relay, "RSET")).toBe(1);
  });

  it.each([
    ["when it was idle for long", { ...LONG, idle: 100 }, () => undefined],
    ["when it is renewed", LONG, (transport: SmtpTransport) => transport.renew()],
    ["when it is closed", LONG, (transport: SmtpTransport) => void transport.close()],
  ])("sends QUIT %s", async (_, timeouts, end) => {
    const { transport, relay } = await start(undefined, {}, timeouts);
    await transport.send(ADA, LONG, live);

    end(transport);

    await until(() => relay.connections.now === 0);
    expect(count(relay, "QUIT")).toBe(1);
  });

  it.each(["reset", "drop", "stall"])("ends a probe's connection that %ss at QUIT", async (how) => {
    const { transport, relay } = await start(
      (at) => (at === "QUIT" ? how : undefined),
      {},
      {
        ...LONG,
        quit: 100,
      },
    );

    expect(await transport.probe()).toBeUndefined();
    await transport.close();

    await until(() => relay.connections.now === 0);
  });

  it("sends no further mail over a connection with a stray line", async () => {
    let strays = true;
    const { transport, relay } = await start((at) =>
      at === "RCPT" && strays ? "250 2.1.5 ok\r\n250 2.1.5 again" : undefined,
    );

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
    strays = false;
    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");

    expect(count(relay, "greeting")).toBe(2);
  });

  it("believes no refusal after a stray line", async () => {
    const replies: Partial<Record<Phase, string>> = {
      MAIL: "250 2.1.0 ok\r\n250 2.1.0 again",
      RCPT: "550 5.1.1 no such user",
    };
    const { transport } = await start((at) => replies[at]);

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("connection");
  });

  it("forgets a connection that the relay ends with 421 while it is idle", async () => {
    const { transport, relay } = await start((at) =>
      at === "dot" ? "250 2.0.0 taken\r\n421 4.4.2 idle too long" : undefined,
    );

    await transport.send(ADA, LONG, live);
    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");

    expect(count(relay, "greeting")).toBe(2);
  });

  it("reads a line without a code as nothing, if the reply follows", async () => {
    const { transport } = await start((at) =>
      at === "dot" ? "queued as 1\r\n250 2.0.0 taken" : undefined,
    );

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
  });
});

describe("a relay's name with several addresses", () => {
  it("is tried address by address until one greets", async () => {
    const silent = await startScriptedRelay(() => "stall", 0, "127.0.0.2");
    const works = await startScriptedRelay(undefined, silent.port, "127.0.0.3");
    ended.push(silent.close, works.close);
    const lookup = () => Promise.resolve(["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    const timeouts = { ...LONG, failover: 200 };
    const transport = new SmtpTransport(
      relayAt(silent.port, { host: "relay.example" }),
      timeouts,
      lookup,
    );
    ended.push(() => void transport.close());

    expect(verdictOf(await transport.send(ADA, timeouts, live))).toBe("taken");
    transport.renew();
    expect(verdictOf(await transport.send(ADA, timeouts, live))).toBe("taken");

    expect(count(silent, "greeting")).toBe(1);
  });

  it("is reached by IPv4 when nobody listens on IPv6", async () => {
    const { transport, relay } = await start(undefined, { host: "relay.example" }, LONG, () =>
      Promise.resolve(["::1", "127.0.0.1"]),
    );

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
    expect(relay.taken).toHaveLength(1);
  });

  it("reports the last address's failure when none works", async () => {
    const lookup = () => Promise.resolve(["127.0.0.8", "127.0.0.9"]);
    const { transport } = await start(undefined, { host: "relay.example" }, LONG, lookup);

    expect(explainBriefly(faultOf(await transport.send(ADA, LONG, live)))).toBe(
      "ECONNREFUSED at CONN",
    );
  });
});

async function start(
  script?: Script,
  config: Partial<RelayConfig> = {},
  timeouts = LONG,
  lookup?: (host: string) => Promise<string[]>,
) {
  const relay = await startScriptedRelay(script);
  const transport = new SmtpTransport(relayAt(relay.port, config), timeouts, lookup);
  ended.push(relay.close, () => void transport.close());
  return { relay, transport };
}

function count({ log }: ScriptedRelay, phase: Phase): number {
  return log.filter((each) => each.phase === phase).length;
}

function verdictOf(sent?: Sent): string {
  if (sent === undefined) return "nothing";
  return sent.taken ? "taken" : classify(sent.fault);
}

function faultOf(sent?: Sent) {
  if (sent?.taken !== false) throw new Error("The relay took it");
  return sent.fault;
}
