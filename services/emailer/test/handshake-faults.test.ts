import { afterEach, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { classify, explainBriefly } from "../src/relay/classify.ts";
import type { RelayConfig } from "../src/config.ts";
import type { Sent } from "../src/relay/smtp-fault.ts";
import { SmtpTransport } from "../src/relay/smtp-transport.ts";
import { TIMEOUTS, type Timeouts } from "../src/relay/timeouts.ts";
import { startScriptedRelay, type Phase, type Script } from "./scripted-relay.ts";
import { mailTo, relayAt } from "./support.ts";

const ADA = mailTo("ada@example.com");
const live = new AbortController().signal;
/** A relay that answers has its time on a busy machine. A silent address is left after 300 ms. */
const LONG: Timeouts = { ...TIMEOUTS, failover: 300, quit: 500 };
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

/** What a relay does with the connection when TLS begins. */
const BREAKS: [string, (socket: Socket) => void][] = [
  ["closes", (socket) => socket.end()],
  ["resets", (socket) => socket.resetAndDestroy()],
  ["sends plain text", (socket) => socket.end("220 relay.example ESMTP\r\n")],
  ["sends random bytes", (socket) => socket.end(Buffer.alloc(500, 0x9d))],
];

describe("a TLS handshake", () => {
  it.each(BREAKS)("that the relay %s after STARTTLS is the relay's trouble", async (_, act) => {
    const port = await startRaw((socket) => {
      const replies = ["250-relay.example\r\n250 STARTTLS\r\n", "220 go\r\n"];
      socket.write("220 relay.example\r\n");
      socket.on("data", () => {
        const reply = replies.shift();
        if (reply === undefined) act(socket);
        else socket.write(reply);
      });
    });

    expect(verdictOf(await transportTo(port).send(ADA, LONG, live))).toBe("relay");
  });

  it.each(BREAKS)("that the relay %s at the start is the relay's trouble", async (_, act) => {
    const port = await startRaw((socket) => socket.on("data", () => act(socket)));

    const sent = await transportTo(port, { tls: "implicit" }).send(ADA, LONG, live);

    expect(verdictOf(sent)).toBe("relay");
  });

  it.each(["implicit", "required"] as const)(
    "(%s) that hangs is broken off when nobody wants the mail any more",
    async (tls) => {
      const unwanted = new AbortController();
      const port = await startRaw((socket) => {
        const replies = ["250-relay.example\r\n250 STARTTLS\r\n", "220 go\r\n"];
        if (tls === "required") socket.write("220 relay.example\r\n");
        socket.on("data", () => {
          const reply = tls === "required" ? replies.shift() : undefined;
          if (reply === undefined) unwanted.abort();
          else socket.write(reply);
        });
      });

      expect(await transportTo(port, { tls }).send(ADA, LONG, unwanted.signal)).toBeUndefined();
    },
  );

  it("discards what the relay sent in clear text after its 220", async () => {
    const port = await startRaw((socket) => {
      const replies = [
        "250-relay.example\r\n250 STARTTLS\r\n",
        "220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n235 injected\r\n",
      ];
      socket.write("220 relay.example\r\n");
      socket.on("data", () => socket.write(replies.shift() ?? ""));
    });
    const patient = { ...LONG, command: 400 };

    expect(verdictOf(await transportTo(port, { tls: "required" }).send(ADA, patient, live))).toBe(
      "relay",
    );
  });
});

describe("a name with several addresses", () => {
  const PHASES: Phase[] = ["greeting", "EHLO", "AUTH"];
  const FAULTS: [Phase, string][] = PHASES.flatMap((phase) =>
    ["421 4.3.2 not now", "454 4.7.0 not now", "drop", "reset", "stall"].map(
      (fault): [Phase, string] => [phase, fault],
    ),
  );

  it.each([...FAULTS, ["greeting", "554 5.3.2 no"], ["EHLO", "550 5.7.1 no"]] as [Phase, string][])(
    "is served by the second when the first has at %s: %s",
    async (phase, fault) => {
      const { transport, second } = await two((at) => (at === phase ? fault : undefined));

      expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
      expect(second.taken).toHaveLength(1);
    },
  );

  it("shows a refused password to one of them only", async () => {
    const { transport, second } = await two((at) => (at === "AUTH" ? "535 5.7.8 no" : undefined));

    expect(explain(await transport.send(ADA, LONG, live))).toContain("authentication refused");
    expect(second.log).toEqual([]);
  });

  it("is served by the second when the first is silent where TLS begins", async () => {
    const silent = await startScriptedRelay(() => "stall", 0, "127.0.0.2");
    const closing = await startRaw((socket) => socket.end(), silent.port, "127.0.0.3");
    ended.push(silent.close);
    const transport = transportTo(closing, { host: "relay.example", tls: "implicit" }, [
      "127.0.0.2",
      "127.0.0.3",
    ]);

    expect(explain(await transport.send(ADA, LONG, live))).toBe("ECONNRESET at STARTTLS");
  });

  it("is served by another one after the relay was in trouble in a transaction", async () => {
    const { transport, second } = await two((at) => (at === "MAIL" ? "421 4.3.2 no" : undefined));

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("connection");
    transport.renew();

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
    expect(second.taken).toHaveLength(1);
  });

  async function two(script: Script) {
    const first = await startScriptedRelay(script, 0, "127.0.0.2");
    const second = await startScriptedRelay(undefined, first.port, "127.0.0.3");
    ended.push(first.close, second.close);
    const transport = transportTo(first.port, { host: "relay.example" }, [
      "127.0.0.2",
      "127.0.0.3",
    ]);
    return { transport, first, second };
  }
});

describe("EHLO", () => {
  it.each([
    ["in odd case", "250-relay.example\r\n250 aUtH plain", "AUTH PLAIN"],
    ["in the old form", "250-relay.example\r\n250 AUTH=LOGIN", "AUTH LOGIN"],
    ["in both forms", "250-relay.example\r\n250-AUTH CRAM-MD5\r\n250 AUTH=LOGIN", "AUTH LOGIN"],
    ["in both forms", "250-relay.example\r\n250-AUTH LOGIN PLAIN\r\n250 AUTH=", "AUTH PLAIN"],
    ["with tabs", "250-relay.example\r\n250 AUTH\tLOGIN\tCRAM-MD5", "AUTH LOGIN"],
  ])("offers AUTH %s", async (_, offer, expected) => {
    const relay = await startScriptedRelay((at) => (at === "EHLO" ? offer : undefined));
    ended.push(relay.close);

    await transportTo(relay.port).send(ADA, { ...LONG, command: 5_000 }, live);

    expect(relay.log.find(({ phase }) => phase === "AUTH")?.line).toMatch(
      new RegExp(`^${expected}`),
    );
  });

  it.each(["500 what", "502 5.5.1 what", "550-no\r\n550 no", "504 no", "554 no"])(
    "is followed by HELO after %j",
    async (refusal) => {
      const relay = await startScriptedRelay((at, line) =>
        at === "EHLO" && line.startsWith("EHLO") ? refusal : undefined,
      );
      ended.push(relay.close);

      expect(verdictOf(await transportTo(relay.port).send(ADA, LONG, live))).toBe("taken");
    },
  );
});

describe("a relay that is no SMTP server", () => {
  it.each([
    ["HTTP", "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"],
    ["IMAP", "* OK ready\r\n"],
    ["POP3", "+OK ready\r\n"],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["random bytes", Buffer.alloc(1_000, 0x8a)],
  ])("and speaks %s, is in trouble", async (_, greeting) => {
    const port = await startRaw((socket) => socket.write(greeting));
    const transport = transportTo(port);

    const sent = await transport.send(ADA, { ...LONG, greeting: 300, stray: 100 }, live);

    expect(verdictOf(sent)).toBe("relay");
  });
});

async function startRaw(onSocket: (socket: Socket) => void, port = 0, host = "127.0.0.1") {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onSocket(socket);
  }).listen(port, host);
  await once(server, "listening");
  ended.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

function transportTo(port: number, config: Partial<RelayConfig> = {}, addresses?: string[]) {
  const lookup = addresses && (() => Promise.resolve(addresses));
  const transport = new SmtpTransport(relayAt(port, config), LONG, lookup);
  ended.push(() => void transport.close());
  return transport;
}

function verdictOf(sent?: Sent): string {
  if (sent === undefined) return "nothing";
  return sent.taken ? "taken" : classify(sent.fault);
}

function explain(sent?: Sent): string {
  return sent?.taken === false ? explainBriefly(sent.fault) : "taken";
}
