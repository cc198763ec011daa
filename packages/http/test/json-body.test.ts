import { afterEach, describe, expect, it } from "@jest/globals";
import { createFakeLog, waitFor } from "@wellsent/testing";
import request from "supertest";
import { HttpServer } from "../src/server.ts";
import { connectRaw, createTestApp, EMAIL, statusesIn } from "./support.ts";

let server: HttpServer | undefined;
afterEach(() => server?.stop(AbortSignal.abort()));

async function start() {
  const log = createFakeLog();
  const { app, metrics } = createTestApp();
  server = new HttpServer({ name: "test", host: "127.0.0.1", port: 0, handle: app, metrics, log });
  await server.start();
  return Number(log.lines[0]?.["port"]);
}

const HEAD = `POST /send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;

describe("readBody and requireJson", () => {
  const send = (header: string, value: string) =>
    request(createTestApp().app).post("/send").set(header, value).send(JSON.stringify(EMAIL));

  it.each(["application/json", "Application/JSON", "application/json; Charset=Utf-8"])(
    "reads the media type %s",
    async (type) => {
      expect((await send("Content-Type", type)).status).toBe(202);
    },
  );

  it.each(["utf-8", "UTF-8", "utf8", '"uTf-8"', "us-ascii", "US-ASCII"])(
    "reads the charset %s",
    async (charset) => {
      expect((await send("Content-Type", `application/json; charset=${charset}`)).status).toBe(202);
    },
  );

  it.each(["identity", "Identity", "IDENTITY", "identity, Identity", ""])(
    "reads the content coding %j",
    async (coding) => {
      const response = await request(createTestApp().app)
        .post("/send")
        .set("Content-Encoding", coding)
        .send(EMAIL);

      expect(response.status).toBe(202);
    },
  );

  it.each(["gzip", "GZip", "identity, gzip"])("refuses the content coding %s", async (coding) => {
    const response = await request(createTestApp().app)
      .post("/send")
      .set("Content-Encoding", coding)
      .send(EMAIL);

    expect(response.body).toMatchObject({ code: "ENCODING_UNSUPPORTED" });
  });

  it.each(["100-continue", "100-Continue"])("accepts the expectation %s", async (expectation) => {
    const client = connectRaw(await start());
    client.socket.write(`${HEAD}Expect: ${expectation}\r\nContent-Length: 2\r\n\r\n`);

    await waitFor("100", () => client.received() !== "");

    expect(statusesIn(client.received())).toEqual([100]);
    client.socket.destroy();
  });
});

describe("bodies without an end", () => {
  it("do not block others: the oldest are evicted", async () => {
    const port = await start();
    const slow = Array.from({ length: 400 }, () => connectRaw(port));
    for (const { socket } of slow) {
      socket.write(`${HEAD}Content-Length: 65000\r\n\r\n${"x".repeat(64_000)}`);
    }
    const refused = () => slow.filter((client) => client.received().includes("BODIES_FULL")).length;
    await waitFor("a full pool", () => refused() > 100);

    const prompt = () =>
      fetch(`http://127.0.0.1:${port}/send`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...EMAIL, body: "x".repeat(60_000) }),
      });
    await waitFor("an email is accepted", async () => (await prompt()).status === 202);

    expect(refused()).toBeLessThan(400);
    for (const { socket } of slow) socket.destroy();
  });

  it("are read in chunks of one byte", async () => {
    const port = await start();
    const clients = Array.from({ length: 20 }, () => connectRaw(port));
    for (const { socket } of clients) {
      socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n${"1\r\n \r\n".repeat(60_000)}`);
    }
    const end = "2\r\n{}\r\n0\r\n\r\n";
    for (const { socket } of clients) socket.write(end);

    const statuses = () => clients.flatMap((client) => statusesIn(client.received()));
    await waitFor("answers", () => statuses().length === clients.length);

    // Each body arrived whole: it is JSON.
    expect(new Set(statuses())).toEqual(new Set([202]));
    for (const { socket } of clients) socket.destroy();
  });
});
