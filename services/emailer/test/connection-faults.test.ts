import { afterEach, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { classify } from "../src/relay/classify.ts";
import type { Sent } from "../src/relay/smtp-fault.ts";
import { SmtpTransport } from "../src/relay/smtp-transport.ts";
import { TIMEOUTS, type Timeouts } from "../src/relay/timeouts.ts";
import { startScriptedRelay } from "./scripted-relay.ts";
import { mailTo, relayAt } from "./support.ts";

const ADA = mailTo("ada@example.com");
const live = new AbortController().signal;
const LONG: Timeouts = { ...TIMEOUTS, stray: 250, quit: 500 };
/** More than one block, so that the relay has time to speak before the final dot. */
const LARGE = { ...ADA, text: "A line of the body\n".repeat(400_000) };
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("a relay that speaks before the final dot", () => {
  it.each([
    ["250 2.0.0 taken", "connection"],
    ["250-2.0.0 taken\r\n250 thanks", "connection"],
    ["354 go on", "connection"],
    ["421 4.3.2 closing", "connection"],
    ["451 4.3.0 later", "deferred"],
    ["552 5.3.4 too big", "failed"],
  ])("with %j has not taken the mail", async (reply, verdict) => {
    const { transport } = await start((socket) => {
      socket.pause();
      void sleep(100).then(() => socket.write(`${reply}\r\n`));
      void sleep(300).then(() => socket.resume());
    });

    expect(verdictOf(await transport.send(LARGE, LONG, live))).toBe(verdict);
  });

  it("in a line without a code is not listened to", async () => {
    const { transport } = await start((socket) => {
      socket.write("working on it\r\n");
      void answerDot(socket);
    });

    expect(verdictOf(await transport.send(LARGE, LONG, live))).toBe("taken");
  });
});

describe("a relay's reply", () => {
  it.each([
    ["ends with two carriage returns", "250 2.0.0 taken\r", "taken"],
    ["ends with a line feed only", "250 2.0.0 taken\n250 stray", "taken"],
    ["has a carriage return inside", "250 2.0.0 ta\rken", "taken"],
    ["has a line separator", "250 2.0.0 taken \u2028 as 1", "taken"],
    ["has a paragraph separator", "250-2.0.0 \u2029\r\n250 taken", "taken"],
    ["has a NUL", "250 2.0.0 taken\0", "taken"],
    ["has 8-bit text", "250 2.0.0 genommen für Zoë", "taken"],
    ["has no text", "250", "taken"],
    ["has a blank for a text", "250 ", "taken"],
    ["has many blanks", "250   2.0.0    taken  ", "taken"],
    ["has 5,000 characters", `250 2.0.0 ${"x".repeat(5_000)}`, "taken"],
    ["has 500 lines", `${"250-2.0.0 more\r\n".repeat(500)}250 2.0.0 taken`, "taken"],
    ["has a separator and refuses", "550 5.7.1 \u2028virus found", "failed"],
    ["refuses with two carriage returns", "552 5.3.4 too big\r", "failed"],
  ])("that %s is read", async (_, reply, verdict) => {
    const relay = await startScriptedRelay((at) => (at === "dot" ? reply : undefined));
    const transport = transportTo(relay.port);
    ended.push(relay.close);

    expect(verdictOf(await transport.send(ADA, LONG, live))).toBe(verdict);
  });

  it.each(["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"] as const)(
    "at %s is read byte by byte",
    async (phase) => {
      const { transport } = await start(undefined, { slowAt: phase });

      expect(verdictOf(await transport.send(ADA, LONG, live))).toBe("taken");
    },
  );

  it.each([
    ["a line without a code", "hello\r\n"],
    ["a line that goes on", "250-hello\r\n"],
    ["a line without an end", "hello "],
  ])("that never ends, %s at a time, is not awaited longer than any other", async (_, text) => {
    const { transport } = await start((socket) => {
      const again = setInterval(() => socket.write(text), 50);
      socket.on("close", () => clearInterval(again));
    });

    expect(verdictOf(await transport.send(ADA, { ...LONG, final: 1_000 }, live))).toBe("ambiguous");
  });

  it.each([
    ["lines that go on", "250-hello\r\n"],
    ["lines without a code", "hello\r\n"],
    ["one line", "hello "],
    ["replies", "250 hello\r\n"],
  ])("that never ends, of %s at full speed, takes little memory", async (_, text) => {
    let sent = 0;
    const block = text.repeat(10_000);
    const { transport } = await start((socket) => {
      const flood = (): void => {
        while (!socket.destroyed && sent < 64e6) {
          sent += block.length;
          if (!socket.write(block)) return void socket.once("drain", flood);
        }
      };
      flood();
    });

    const before = process.memoryUsage().arrayBuffers;
    await transport.send(ADA, { ...LONG, final: 2_000 }, live);

    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32e6);
  });
});

type Slow = "greeting" | "EHLO" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "dot";

/** A relay whose connection is handed over when the body begins; by default it answers the dot. */
async function start(
  onBody: (socket: Socket) => void = (socket) => void answerDot(socket),
  { slowAt }: { slowAt?: Slow } = {},
) {
  const replies: [Slow, string][] = [
    ["EHLO", "250-relay.example\r\n250 AUTH PLAIN\r\n"],
    ["AUTH", "235 2.7.0 ok\r\n"],
    ["MAIL", "250-2.1.0\r\n250 2.1.0 ok\r\n"],
    ["RCPT", "250 2.1.5 ok\r\n"],
    ["DATA", "354 go on\r\n"],
  ];
  const server = createServer((socket) => {
    const left = [...replies];
    const say = async (phase: Slow, text: string) => {
      if (phase !== slowAt) return void socket.write(text);
      for (const byte of text) {
        socket.write(byte);
        await sleep(5);
      }
    };
    ended.push(() => socket.destroy());
    socket.on("error", () => undefined);
    void say("greeting", "220 relay.example\r\n");
    socket.on("data", function next() {
      const [phase, reply] = left.shift() ?? [];
      if (phase === undefined || reply === undefined) return;
      void say(phase, reply);
      if (left.length > 0) return;
      socket.removeListener("data", next);
      if (slowAt === "dot") void answerDot(socket, (text) => void say("dot", text));
      else onBody(socket);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  ended.push(() => server.close());
  return { transport: transportTo((server.address() as AddressInfo).port) };
}

async function answerDot(socket: Socket, say = (text: string) => void socket.write(text)) {
  let tail = "";
  socket.resume();
  await new Promise<void>((resolve) =>
    socket.on("data", (chunk: Buffer) => {
      tail = (tail + chunk.toString("latin1")).slice(-5);
      if (tail === "\r\n.\r\n") resolve();
    }),
  );
  say("250 2.0.0 taken\r\n");
}

function transportTo(port: number) {
  const transport = new SmtpTransport(relayAt(port), LONG);
  ended.push(() => void transport.close());
  return transport;
}

function verdictOf(sent?: Sent): string {
  if (sent === undefined) return "nothing";
  return sent.taken ? "taken" : classify(sent.fault);
}
