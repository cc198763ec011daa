import { afterEach, describe, expect, it } from "@jest/globals";
import { createServer } from "node:net";
import { once } from "node:events";
import type { RelayConfig } from "../src/config.ts";
import { Addresses } from "../src/relay/addresses.ts";
import { openConnection } from "../src/relay/smtp-handshake.ts";
import type { SmtpError } from "../src/relay/smtp-error.ts";
import { TIMEOUTS } from "../src/relay/timeouts.ts";
import {
  startScriptedRelay,
  type Phase,
  type Script,
  type ScriptedRelay,
} from "./scripted-relay.ts";
import { relayAt, until } from "./support.ts";

const live = new AbortController().signal;
const TIMES = { ...TIMEOUTS, failover: 200, quit: 1_000 };
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("openConnection", () => {
  it("greets, introduces itself and authenticates", async () => {
    const { relay, open } = await start();

    const { connection } = await open();

    expect(phases(relay)).toEqual(["greeting", "EHLO", "AUTH"]);
    expect(relay.log.at(1)?.line).toBe("EHLO test.example");
    expect(connection?.extensions.get("AUTH")).toBe("PLAIN");
  });

  it.each<[string, [string, string][]]>([
    ["250 relay", []],
    ["250-relay\r\n250 SIZE 1000", [["SIZE", "1000"]]],
    [
      "250-relay\r\n250-auth=plain login\r\n250 8bitmime",
      [
        ["AUTH", "PLAIN LOGIN"],
        ["8BITMIME", ""],
      ],
    ],
    ["250-SIZE\r\n250 DSN", [["DSN", ""]]],
  ])("reads the extensions of %j", async (reply, extensions) => {
    const { open } = await start((at) => (at === "EHLO" ? reply : undefined));

    const { connection } = await open();

    expect([...(connection?.extensions ?? [])]).toEqual(extensions);
  });

  it("says HELO to a relay that does not know EHLO", async () => {
    const { relay, open } = await start((at, line) =>
      at === "EHLO" && line.startsWith("EHLO") ? "502 5.5.1 what" : undefined,
    );

    const { error } = await open();

    expect(error).toBeUndefined();
    expect(relay.log.map(({ line }) => line.split(" ")[0])).toEqual(["", "EHLO", "HELO", "AUTH"]);
  });

  it("says no HELO where TLS is required", async () => {
    const { relay, open } = await start((at) => (at === "EHLO" ? "502 5.5.1 what" : undefined), {
      tls: "required",
    });

    const { error } = await open();

    expect(error).toMatchObject({ code: "EPROTOCOL", command: "EHLO" });
    expect(phases(relay)).toEqual(["greeting", "EHLO", "QUIT"]);
  });

  it.each([
    ["opportunistic", "454 4.7.0 not now", undefined],
    ["opportunistic", "501 5.5.4 no", undefined],
    ["opportunistic", "421 4.3.2 closing", "ETLS"],
    ["opportunistic", "drop", "ECONNECTION"],
    ["opportunistic", "220 go\r\nno handshake", "EPROTOCOL"],
    ["required", "454 4.7.0 not now", "ETLS"],
  ] as const)("with TLS %s and the reply %j to STARTTLS: %s", async (tls, reply, code) => {
    const { relay, open } = await start(
      (at) => {
        if (at === "EHLO") return "250-relay\r\n250-STARTTLS\r\n250 AUTH PLAIN";
        return at === "STARTTLS" ? reply : undefined;
      },
      { tls },
    );

    const { error } = await open();

    expect(error?.code).toBe(code);
    expect(phases(relay).includes("AUTH")).toBe(code === undefined);
  });

  it.each(["greeting", "EHLO", "AUTH"] as const)(
    "ends a connection that is refused at %s with QUIT",
    async (phase) => {
      const { relay, open } = await start((at) => (at === phase ? "421 4.3.2 no" : undefined));

      const { error } = await open();

      expect(error?.reply?.code).toBe(421);
      expect(phases(relay).at(-1)).toBe("QUIT");
      await until(() => relay.connections.now === 0);
    },
  );

  it.each(["greeting", "EHLO", "AUTH"] as const)(
    "is broken off at %s by its signal, without QUIT",
    async (phase) => {
      const ending = new AbortController();
      const { relay, open } = await start((at) => {
        if (at !== phase) return undefined;
        ending.abort();
        return "stall";
      });

      const { error } = await open(ending.signal);

      expect(error).toBeDefined();
      await until(() => relay.connections.now === 0);
      expect(phases(relay)).not.toContain("QUIT");
    },
  );
});

describe("openConnection, to a name with several addresses", () => {
  it.each([
    [
      "refuses with 554 at the greeting",
      (at: Phase) => (at === "greeting" ? "554 5.3.2 go away" : undefined),
    ],
    [
      "refuses with 421 at the greeting",
      (at: Phase) => (at === "greeting" ? "421 4.3.2 too many" : undefined),
    ],
    ["never greets", () => "stall"],
    ["closes before the greeting", () => "drop"],
    ["greets with rubbish", (at: Phase) => (at === "greeting" ? "SSH-2.0-OpenSSH" : undefined)],
  ])(
    "goes on with the next one when the first %s, and tries that first later",
    async (_, script) => {
      const first = await startScriptedRelay(script, 0, "127.0.0.2");
      const second = await startScriptedRelay(undefined, first.port, "127.0.0.3");
      ended.push(first.close, second.close);
      const open = opener(first.port, ["127.0.0.2", "127.0.0.3"], { ...TIMES, stray: 100 });

      expect((await open()).error).toBeUndefined();
      expect((await open()).error).toBeUndefined();

      expect([count(first, "greeting"), count(second, "greeting")]).toEqual([1, 2]);
      await until(() => first.connections.now === 0);
    },
  );

  it("goes on with IPv4 when IPv6 accepts the connection and never greets", async () => {
    const relay = await startScriptedRelay();
    const silent = createServer((socket) => socket.on("error", () => undefined));
    silent.listen({ port: relay.port, host: "::1", ipv6Only: true });
    await once(silent, "listening");
    ended.push(relay.close, () => void silent.close());
    const open = opener(relay.port, ["::1", "127.0.0.1"]);

    expect((await open()).error).toBeUndefined();

    expect(count(relay, "greeting")).toBe(1);
  });

  it("gives the last address the full time to greet", async () => {
    const slow = await startScriptedRelay(
      async (at) => {
        if (at === "greeting") await new Promise((resolve) => setTimeout(resolve, 600));
        return at === "greeting" ? "220 late" : "250 ok";
      },
      0,
      "127.0.0.3",
    );
    ended.push(slow.close);
    const open = opener(slow.port, ["127.0.0.2", "127.0.0.3"]);

    expect((await open()).error).toBeUndefined();
  });

  it("tries the next address when one greets and refuses EHLO", async () => {
    const refuses: Script = (at) => (at === "EHLO" ? "421 4.3.2 no" : undefined);
    const first = await startScriptedRelay(refuses, 0, "127.0.0.2");
    const second = await startScriptedRelay(undefined, first.port, "127.0.0.3");
    ended.push(first.close, second.close);
    const open = opener(first.port, ["127.0.0.2", "127.0.0.3"]);

    expect((await open()).error).toBeUndefined();

    expect(count(second, "greeting")).toBe(1);
  });

  it("reports the last address's refusal when none greets", async () => {
    const greet =
      (reply: string): Script =>
      (at) =>
        at === "greeting" ? reply : undefined;
    const first = await startScriptedRelay(greet("421 4.3.2 busy"), 0, "127.0.0.2");
    const second = await startScriptedRelay(greet("554 5.7.1 no"), first.port, "127.0.0.3");
    ended.push(first.close, second.close);
    const open = opener(first.port, ["127.0.0.2", "127.0.0.3"]);

    expect((await open()).error?.reply?.text).toBe("554 5.7.1 no");
  });
});

async function start(script?: Script, config: Partial<RelayConfig> = {}) {
  const relay = await startScriptedRelay(script);
  ended.push(relay.close);
  return { relay, open: opener(relay.port, ["127.0.0.1"], TIMES, config) };
}

/** Returns a function that opens a connection to a name with these addresses. */
function opener(port: number, found: string[], times = TIMES, config: Partial<RelayConfig> = {}) {
  const addresses = new Addresses("relay.example", () => Promise.resolve(found));
  const relay = relayAt(port, { host: "relay.example", ...config });
  return async (signal = live) => {
    try {
      const connection = await openConnection(relay, addresses, times, signal);
      ended.push(() => void connection.destroy("EABORT"));
      return { connection };
    } catch (error) {
      return { error: error as SmtpError };
    }
  };
}

function phases({ log }: ScriptedRelay): Phase[] {
  return log.map(({ phase }) => phase);
}

function count({ log }: ScriptedRelay, phase: Phase): number {
  return log.filter((each) => each.phase === phase).length;
}
