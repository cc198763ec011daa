import { afterEach, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { SmtpConnection } from "../src/relay/smtp-connection.ts";
import { until } from "./support.ts";

const LONG_MS = 30_000;
const TIMES = { block: LONG_MS, final: LONG_MS };
const ended: (() => void)[] = [];
const none = () => undefined;

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("SmtpConnection", () => {
  it("sends a line and reads its reply", async () => {
    const { connection, relay, received } = await start();

    const replying = connection.command("EHLO", "EHLO me", LONG_MS);
    await until(() => received().length > 0);
    relay.write("250-relay\r\n250 ok\r\n");

    expect(await replying).toEqual({ code: 250, text: "250-relay\n250 ok" });
    expect(received()).toBe("EHLO me\r\n");
    expect(connection.isSound).toBe(true);
  });

  it("gives up when there is no reply in time", async () => {
    const { connection } = await start();

    await expect(connection.command("RCPT TO", "RCPT TO:<a>", 50)).rejects.toMatchObject({
      code: "ETIMEDOUT",
      command: "RCPT TO",
    });
    expect(connection.isLost).toBe(true);
  });

  it.each([
    ["ends", (relay: Socket) => void relay.end()],
    ["is closed", (relay: Socket) => void relay.destroy()],
    ["is reset", (relay: Socket) => void relay.resetAndDestroy()],
  ])("reports a connection that %s while a reply is awaited", async (_, lose) => {
    const { connection, relay } = await start();

    const reading = connection.read("MAIL FROM", LONG_MS);
    lose(relay);

    await expect(reading).rejects.toMatchObject({ code: "ECONNECTION", command: "MAIL FROM" });
    await connection.closed;
    await expect(connection.read("RSET", LONG_MS)).rejects.toMatchObject({
      code: "ECONNECTION",
      command: "RSET",
    });
  });

  it.each([
    ["a reply", "250 again\r\n"],
    ["a line without a code", "hello\r\n"],
    ["421", "421 4.4.2 closing\r\n"],
  ])("is no longer sound after %s that nobody waits for, and tells so", async (_, line) => {
    const { connection, relay } = await start();
    let told = 0;
    connection.onUnexpected = () => (told += 1);

    relay.write(line);
    await until(() => told > 0);

    expect([connection.isSound, connection.isLost]).toEqual([false, false]);
  });

  it("tells of a connection that ends while nobody waits", async () => {
    const { connection, relay } = await start();
    let told = 0;
    connection.onUnexpected = () => (told += 1);

    relay.end();
    await until(() => told > 0);

    expect(connection.isLost).toBe(true);
  });

  it("takes the reply that follows a line without a code, and is no longer sound", async () => {
    const { connection, relay } = await start();

    const reading = connection.read("DATA", LONG_MS);
    relay.write("queued\r\n");
    await until(() => !connection.isSound);
    relay.write("250 ok\r\n");

    expect(await reading).toEqual({ code: 250, text: "250 ok" });
  });

  it("takes a line without a code for the reply when none follows", async () => {
    const { connection, relay } = await start(50);

    const reading = connection.read("DATA", LONG_MS);
    relay.write("queued\r\n");

    expect(await reading).toEqual({ code: 0, text: "queued" });
  });

  it("ends a connection whose reply has no end", async () => {
    const { connection, relay } = await start();

    const reading = connection.read("EHLO", LONG_MS);
    relay.write("x".repeat(70_000));

    await expect(reading).rejects.toMatchObject({ code: "EPROTOCOL", command: "EHLO" });
  });

  it("reports the dot only before the block that has it", async () => {
    const { connection, relay, received } = await start();
    const body = Buffer.from(`${"x".repeat(200_000)}\r\n.\r\n`);
    let receivedAtDot = "";

    const replying = connection.body(body, TIMES, () => (receivedAtDot = received()));
    await until(() => received().length === body.length);
    relay.write("250 ok\r\n");

    expect((await replying).code).toBe(250);
    expect(receivedAtDot).not.toContain("\r\n.\r\n");
    expect(received()).toBe(body.toString());
  });

  it.each([1, 65_535, 65_536, 65_537, 131_072, 131_073])(
    "sends a body of %i bytes as it is",
    async (length) => {
      const { connection, relay, received } = await start();
      const body = Buffer.from("0123456789".repeat(14_000)).subarray(0, length);
      let dots = 0;

      const replying = connection.body(body, TIMES, () => (dots += 1));
      await until(() => received().length === length);
      relay.write("250 ok\r\n");
      await replying;

      expect(received()).toBe(body.toString());
      expect(dots).toBe(1);
    },
  );

  it("rejects with a refusal that comes amid the body, and sends no dot", async () => {
    const { connection, relay } = await start();
    relay.pause();
    const body = Buffer.alloc(50_000_000, "x");
    let dots = 0;

    const replying = connection.body(body, TIMES, () => (dots += 1));
    relay.write("552 5.3.4 too big\r\n");

    await expect(replying).rejects.toMatchObject({ code: "EMESSAGE", reply: { code: 552 } });
    expect(dots).toBe(0);
  });

  it("gives up a relay that reads no more of the body", async () => {
    const { connection, relay } = await start();
    relay.pause();
    const body = Buffer.alloc(50_000_000, "x");

    await expect(connection.body(body, { ...TIMES, block: 100 }, none)).rejects.toMatchObject({
      code: "ETIMEDOUT",
      command: "DATA",
    });
  });

  it.each([
    ["answers and closes", (relay: Socket) => void relay.end("221 bye\r\n")],
    ["closes without an answer", (relay: Socket) => void relay.end()],
    ["resets", (relay: Socket) => void relay.resetAndDestroy()],
    ["says nothing", none],
    ["answers and stays", (relay: Socket) => void relay.write("221 bye\r\n")],
  ])("quits a relay that %s", async (_, answer) => {
    const { connection, relay, received } = await start();

    const quitting = connection.quit(300);
    await until(() => received() === "QUIT\r\n");
    answer(relay);
    await quitting;

    expect(connection.isLost).toBe(true);
  });

  it("refuses TLS when something was sent before it in the clear", async () => {
    const { connection, relay } = await start();
    const replying = connection.command("STARTTLS", "STARTTLS", LONG_MS);
    relay.write("220 go\r\n250-inject");
    await replying;

    await expect(connection.startTls({}, LONG_MS)).rejects.toMatchObject({
      code: "EPROTOCOL",
      command: "STARTTLS",
    });
  });

  it.each([
    ["sends rubbish", (relay: Socket) => void relay.write("rubbish rubbish\r\n"), LONG_MS, "ETLS"],
    ["closes", (relay: Socket) => void relay.destroy(), LONG_MS, "ETLS"],
    ["is silent", none, 100, "ETIMEDOUT"],
  ])("reports a handshake with a relay that %s", async (_, misbehave, timeoutMs, code) => {
    const { connection, relay } = await start();

    const securing = connection.startTls({}, timeoutMs);
    misbehave(relay);

    await expect(securing).rejects.toMatchObject({ code, command: "STARTTLS" });
    await connection.closed;
  });
});

/** A connection, and the relay's end of it. */
async function start(strayMs = LONG_MS) {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepting = once(server, "connection") as Promise<[Socket]>;
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [relay] = await accepting;
  const chunks: Buffer[] = [];
  relay.on("error", none).on("data", (chunk: Buffer) => chunks.push(chunk));
  const connection = new SmtpConnection(socket, strayMs);
  ended.push(
    () => void connection.destroy("EABORT"),
    () => void relay.destroy(),
    () => void server.close(),
  );
  const received = () => Buffer.concat(chunks).toString();
  return { connection, relay, received };
}
