import { afterEach, describe, expect, it } from "@jest/globals";
import type { Log } from "@wellsent/runtime";
import { Registry } from "prom-client";
import { createEmailerMetrics } from "../src/metrics.ts";
import { Relays, type SendOptions } from "../src/relay/relays.ts";
import { TIMEOUTS, type Timeouts } from "../src/relay/timeouts.ts";
import { startScriptedRelay, WELL, type Phase, type Script } from "./scripted-relay.ts";
import { mailTo, relayAt, until } from "./support.ts";

const QUICK: Timeouts = { ...TIMEOUTS, pause: 100, quit: 500 };
const ended: (() => void)[] = [];
const live: SendOptions = {
  signal: new AbortController().signal,
  admit: () => Promise.resolve(true),
};

afterEach(() => {
  for (const end of ended.splice(0).reverse()) end();
});

describe("a relay that limits the mails of a connection", () => {
  const REPLIES: [Phase, string][] = [
    ["MAIL", "421 4.7.0 too many messages"],
    ["RCPT", "421 4.7.0 too many messages"],
    ["DATA", "421 4.7.0 too many messages"],
    ["MAIL", "452 4.5.3 Too many messages in this session"],
    ["MAIL", "drop"],
    ["MAIL", "reset"],
  ];

  it.each(REPLIES)("to one, at %s with %s, is never in trouble", async (phase, reply) => {
    const script: PerConnection = () => {
      let mails = 0;
      return (at) => {
        if (at === "MAIL") mails += 1;
        return mails > 1 && at === phase ? reply : undefined;
      };
    };
    const { relays, taken, told, reasons } = await start(script, 10);

    await sendMany(relays, 60);

    expect(new Set(taken).size).toBe(60);
    expect([told, reasons()]).toEqual([[], []]);
  });

  it("and closes each after its mail, is never in trouble", async () => {
    const { relays, taken, told } = await start(
      () => (at) => (at === "dot" ? "250 2.0.0 taken\r\n421 4.7.0 one a connection" : undefined),
      10,
    );

    await sendMany(relays, 60);

    expect(taken).toHaveLength(60);
    expect(told).toEqual([]);
  });

  it("goes on deferring a mail that is refused with 421 on every connection, while others pass", async () => {
    const { relays } = await start(
      () => (at, line) => (at === "RCPT" && line.includes("<bad@") ? "421 4.7.1 no" : undefined),
      3,
    );
    await sendMany(relays, 10);

    const [bad] = await Promise.all([
      relays.send(mailTo("bad@example.com"), live),
      sendMany(relays, 30),
    ]);

    expect(bad.verdict).toBe("deferred");
  });
});

describe("a relay that limits connections", () => {
  const REFUSALS: string[] = [
    "421 4.7.0 too many connections",
    "450 4.7.1 too many connections",
    "421 4.3.2 The maximum number of concurrent connections has exceeded a limit",
  ];

  it.each(REFUSALS)("to two, with %s, is never in trouble", async (refusal) => {
    let now = 0;
    const script: PerConnection = (closed) => {
      const isRefused = now >= 2;
      if (!isRefused) {
        now += 1;
        closed(() => (now -= 1));
      }
      return (at) => (isRefused && at === "greeting" ? refusal : undefined);
    };
    const { relays, taken, told, reasons } = await start(script, 10);

    await sendMany(relays, 60);

    expect(taken).toHaveLength(60);
    expect([told, reasons()]).toEqual([[], []]);
  });

  it("and drops further ones, is never in trouble once it has accepted one", async () => {
    let now = 0;
    const script: PerConnection = () => {
      const isRefused = now++ >= 2;
      return (at) => (isRefused && at === "greeting" ? "drop" : undefined);
    };
    const { relays, taken, told } = await start(script, 10);
    await sendMany(relays, 1);

    await sendMany(relays, 60);

    expect(taken).toHaveLength(61);
    expect(told).toEqual([]);
  });

  it("to none, is in trouble, and gets its mail when it accepts one", async () => {
    let isOpen = false;
    const { relays, taken, told } = await start(
      () => (at) => (at === "greeting" && !isOpen ? "421 4.7.0 too many connections" : undefined),
      5,
    );
    const sending = sendMany(relays, 10);
    await until(() => told.length === 1);

    isOpen = true;
    await sending;

    expect(taken).toHaveLength(10);
    expect(told.at(-1)).toBe("up");
  });
});

describe("a relay that connects and refuses every MAIL for now", () => {
  it.each(["421 4.3.2 closing", "451 4.7.1 slow down", "530 5.7.0 authenticate first", "drop"])(
    "(%s) holds a mail for the held time in all, however often it is the trial",
    async (reply) => {
      const { relays } = await start(() => (at) => (at === "MAIL" ? reply : undefined), 1, {
        ...QUICK,
        pause: 20,
        held: 1_500,
      });

      const result = await relays.send(mailTo("ada@example.com"), live);

      expect(["held", "deferred"]).toContain(result.verdict);
    },
  );
});

describe("an emailer that stops", () => {
  it.each(["greeting", "EHLO", "AUTH"] as const)(
    "does not wait for a relay that is silent at %s",
    async (phase) => {
      const { relays, relay, ending } = await start(
        () => (at) => (at === phase ? "stall" : undefined),
        1,
      );
      const sending = relays.send(mailTo("ada@example.com"), live);
      await until(() => relay.log.some((each) => each.phase === phase));

      ending.abort();

      await expect(sending).rejects.toThrow("aborted");
      await relays.stop();
    },
  );

  it.each(["MAIL", "RCPT", "DATA", "dot"] as const)(
    "waits for the reply at %s, because the mail was begun",
    async (phase) => {
      const reached = Promise.withResolvers<string>();
      const { relays, relay, ending } = await start(
        () => (at) => (at === phase ? reached.promise : undefined),
        1,
      );
      const sending = relays.send(mailTo("ada@example.com"), live);
      await until(() => relay.log.some((each) => each.phase === phase));

      ending.abort();
      reached.resolve(WELL[phase]);

      expect((await sending).verdict).toBe("sent");
    },
  );

  it.each(["reset", "drop", "stall", "500 what"])(
    "is not delayed by a relay's %s at QUIT",
    async (how) => {
      const { relays, relay } = await start(() => (at) => (at === "QUIT" ? how : undefined), 3);
      await sendMany(relays, 3);

      await relays.stop();

      await until(() => relay.connections.now === 0);
      expect(relay.log.filter(({ phase }) => phase === "QUIT").length).toBeGreaterThan(0);
    },
  );
});

/** Makes the script of one connection. `closed` registers what happens when the connection ends. */
type PerConnection = (closed: (then: () => void) => void) => Script;

async function start(script: PerConnection, connections: number, timeouts = QUICK) {
  const relay = await startScriptedRelay({
    perConnection: (socket) => script((then) => socket.on("close", then)),
  });
  const told: string[] = [];
  const note = () => undefined;
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const ending = new AbortController();
  const relays = new Relays({
    ending: ending.signal,
    relays: [relayAt(relay.port, { connections })],
    timeouts,
    onDown: () => told.push("down"),
    onUp: () => told.push("up"),
    metrics: createEmailerMetrics(new Registry()),
    log,
  });
  ended.push(
    relay.close,
    () => void relays.stop(),
    () => ending.abort(),
  );
  const reasons = () => relays.checks.flatMap((check) => check()?.reason ?? []);
  return { relays, relay, taken: relay.taken, told, ending, reasons };
}

async function sendMany(relays: Relays, count: number) {
  const sending = Array.from({ length: count }, (_, number) =>
    relays.send(mailTo(`user${number}@example.com`), live),
  );
  return Promise.all(sending);
}
