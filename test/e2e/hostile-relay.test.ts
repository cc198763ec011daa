import { afterEach, describe, expect, it } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { seeded, waitFor, type Random } from "@wellsent/testing";
import { allReady, sendMany, startSystem, type System } from "../support/system.ts";

const FUZZ_MS = 8_000;
const MAILS = 60;
let system: System;
const ended: (() => void)[] = [];

afterEach(async () => {
  await system.stop();
  for (const end of ended.splice(0)) end();
});

describe("a relay that sends random bytes and resets connections at random", () => {
  it.each([1, 2])(
    "ends no emailer, loses no mail and shows nothing of it (seed %s)",
    async (seed) => {
      const relay = await startRelay(seeded(seed));
      const SMTP_URLS = `smtp://mailer:a-secret-word@127.0.0.1:${relay.port}?connections=5`;
      system = await startSystem({ env: { SMTP_URLS } });
      await allReady(system);
      const { emailer } = system.services;

      await sendMany(system, MAILS, 8);
      await waitFor("random replies", () => performance.now() - relay.since > FUZZ_MS, 60_000);
      expect(emailer.process.exitCode).toBeNull();
      relay.behave();
      const sent = await system.audited("email.sent", MAILS, 60_000);

      expect(new Set(sent.map(({ id }) => id)).size).toBe(MAILS);
      expect(new Set(relay.taken.map(({ to }) => to)).size).toBe(MAILS);
      expect(emailer.output()).not.toMatch(/user\d+@|a-secret-word|The body of/);
      expect(await (await fetch(`${emailer.admin}/metrics`)).text()).not.toMatch(/user\d+@|secret/);
      expect(await emailer.end("SIGTERM")).toBe(0);
    },
  );
});

describe("an address with a quoted local part", () => {
  it.each([
    ['" a"@example.com', '" a"@example.com'],
    ['"a "@example.com', '"a "@example.com'],
    ['"a b"@example.com', '"a b"@example.com'],
    ['"a  b"@example.com', '"a  b"@example.com'],
    ['"a@b"@example.com', '"a@b"@example.com'],
    ['"a,b;c:d(e)"@example.com', '"a,b;c:d(e)"@example.com'],
    ['"a\\"b\\\\c"@example.com', '"a\\"b\\\\c"@example.com'],
    ['" "@example.com', '" "@example.com'],
    ['""@example.com', '""@example.com'],
    ["na..me@example.com", '"na..me"@example.com'],
    [".name.@example.com", '".name."@example.com'],
  ])("%s is written exactly into RCPT and To", async (given, expected) => {
    const relay = await startRelay();
    relay.behave();
    system = await startSystem({ env: { SMTP_URLS: `smtp://127.0.0.1:${relay.port}` } });
    await allReady(system);

    const { status } = await system.send({ toaddr: given, subject: "Subject", body: "Body" });
    expect(status).toBe(202);
    const [sent] = await system.audited("email.sent", 1);

    expect(relay.taken.map(({ to }) => to)).toEqual([expected]);
    expect(relay.taken[0]?.header).toContain(`\nTo: <${expected}>\n`);
    expect(sent?.recipient).toBe(expected);
  });
});

/** A mail as the relay saw it: the path of RCPT without its angle brackets, and the header with its lines unfolded. */
interface Taken {
  to: string;
  header: string;
}

/** Starts a relay that misbehaves at random until it is told to behave. */
async function startRelay(random: Random = seeded(1)) {
  const sockets = new Set<Socket>();
  const taken: Taken[] = [];
  let isHostile = true;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    serve(
      socket,
      (reply) => {
        if (!isHostile || random.chance(0.6)) socket.write(`${reply}\r\n`);
        else misbehave(socket, reply, random);
      },
      (mail) => taken.push(mail),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cutAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  ended.push(cutAll, () => server.close());
  const behave = () => {
    isHostile = false;
    cutAll();
  };
  const { port } = server.address() as AddressInfo;
  return { port, taken, behave, since: performance.now() };
}

/** Nothing that it does is a refusal for good. */
function misbehave(socket: Socket, reply: string, random: Random): void {
  const [code = "", ...words] = reply.split(" ");
  const acts = [
    () => socket.write(randomBytes(random.whole(1, 2_000))),
    () => socket.write(Buffer.concat([randomBytes(20), Buffer.from("\r\n")])),
    () => socket.resetAndDestroy(),
    () => socket.destroy(),
    () => socket.end(reply.slice(0, random.whole(0, reply.length))),
    () => socket.write(`${reply}\r\n${reply}\r\n`),
    () => socket.write(`${words.join(" ")}\r\n${reply}\r\n`),
    () => socket.write(`${code}-${words.join(" ")}\r\n`),
    () => socket.end(`${reply}\r\n421 4.3.2 closing\r\n`),
    () => socket.end("421 4.3.2 closing\r\n"),
    () => socket.write("451 4.7.1 later\r\n"),
    () => socket.write(`${reply.replace(" ", "\t")}\r\n`),
    () => socket.write(`${reply}\n`),
    () => socket.write(`${reply}\0\u2028\r\r\n`),
  ];
  random.pick(acts)();
}

function serve(socket: Socket, say: (reply: string) => void, take: (mail: Taken) => void): void {
  let body: string[] | undefined;
  let to = "";
  say("220 relay.example ESMTP");
  const lines = createInterface(socket).on("error", () => undefined);
  lines.on("line", (line) => {
    if (body !== undefined) {
      if (line !== ".") {
        body.push(line);
        return;
      }
      const [header = ""] = body.join("\n").split("\n\n");
      body = undefined;
      take({ to, header: `\n${header.replace(/\n(?=[ \t])/g, "")}\n` });
      say("250 2.0.0 taken");
      return;
    }
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "RCPT") to = /^RCPT TO:<(.*)>$/.exec(line)?.[1] ?? "";
    if (verb === "DATA") body = [];
    const replies: Record<string, string> = {
      EHLO: "250 AUTH PLAIN LOGIN",
      AUTH: "235 2.7.0 ok",
      DATA: "354 go on",
      QUIT: "221 2.0.0 bye",
    };
    say(replies[verb] ?? "250 2.0.0 ok");
  });
}
