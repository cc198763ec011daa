import { once } from "node:events";
import { connect } from "node:net";
import { request as httpRequest, Agent, type ServerOptions } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "@jest/globals";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { HttpServer } from "../src/server.ts";
import { connectRaw, createTestApp, EMAIL, rawSend, statusesIn } from "./support.ts";

const QUICK: ServerOptions = {
  headersTimeout: 150,
  requestTimeout: 300,
  connectionsCheckingInterval: 25,
};
const FOREVER = new AbortController().signal;

let server: HttpServer | undefined;
afterEach(() => server?.stop(AbortSignal.abort()));

/** Starts the test application behind a server. Each send takes the milliseconds in its subject. */
async function start(limits: ServerOptions = {}, leaveMs = 0, lingerMaxMs = 0) {
  const log = createFakeLog();
  const { app, accepted, metrics, registry } = createTestApp();
  server = new HttpServer({
    name: "test",
    host: "127.0.0.1",
    port: 0,
    handle: app,
    leaveMs,
    lingerMaxMs,
    metrics,
    log,
    limits,
  });
  await server.start();
  const port = Number(log.lines[0]?.["port"]);
  /** The statuses of requests that reached no route. */
  const refusals = () => log.lines.flatMap(({ status }) => (status === undefined ? [] : [status]));
  return { server, port, accepted, refusals, registry };
}

const taking = (ms: number) => rawSend({ ...EMAIL, subject: String(ms) });

describe("slow and endless clients", () => {
  it("answers 408 to a head that does not end in time", async () => {
    const { port, refusals } = await start(QUICK);
    const client = connectRaw(port);

    client.socket.write("POST /send HTTP/1.1\r\nHost: te");
    await client.closed;

    expect(statusesIn(client.received())).toEqual([408]);
    expect(client.received()).toContain('"code":"REQUEST_TIMEOUT"');
    expect(refusals()).toEqual([408]);
  });

  it("answers 408 to a body that does not end in time", async () => {
    const { port, accepted } = await start(QUICK);
    const client = connectRaw(port);

    client.socket.write(taking(0).slice(0, -1));
    await client.closed;

    expect(statusesIn(client.received())).toEqual([408]);
    expect(accepted).toEqual([]);
  });

  it("closes a connection without requests", async () => {
    const { port } = await start(QUICK);
    const client = connectRaw(port);

    await client.closed;

    expect(client.socket.destroyed).toBe(true);
  });

  it.each([20_000, 2_000_000])("answers 431 to a head of %d bytes", async (bytes) => {
    const { port, refusals } = await start();
    const client = connectRaw(port);

    client.socket.write(
      `GET /openapi.json HTTP/1.1\r\nHost: test\r\nX-Long: ${"x".repeat(bytes)}\r\n\r\n`,
    );
    await client.closed;

    expect(statusesIn(client.received())).toEqual([431]);
    expect(client.received()).toContain('"code":"HEADERS_TOO_LARGE"');
    expect(refusals()).toEqual([431]);
  });
});

describe("invalid HTTP", () => {
  it.each([
    "nonsense\r\n\r\n",
    "\u0016\u0003\u0001\u0000",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
  ])("answers 400 to %j", async (text) => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.write(text);
    await client.closed;

    expect(statusesIn(client.received())).toEqual([400]);
    expect(client.received()).toContain("Content-Type: application/problem+json");
  });

  it("reads the last of a thousand header fields", async () => {
    const { port } = await start();
    const client = connectRaw(port);
    const fields = Array.from({ length: 1_000 }, (_, index) => `a${index}: b\r\n`).join("");

    client.socket.write(taking(0).replace("Content-Type:", `${fields}Content-Type:`));
    await waitFor("an answer", () => statusesIn(client.received()).length === 1);

    expect(statusesIn(client.received())).toEqual([202]);
    client.socket.destroy();
  });

  it("answers 400 once to garbage between chunks, and publishes nothing", async () => {
    const { port, accepted } = await start();
    const client = connectRaw(port);

    client.socket.write(
      'POST /send HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"to\r\nzz\r\n',
    );
    await client.closed;

    expect(statusesIn(client.received())).toEqual([400]);
    expect(accepted).toEqual([]);
  });

  it("answers 400 to a request with two lengths, which could hide a second request", async () => {
    const { port, accepted } = await start();
    const client = connectRaw(port);

    client.socket.write(
      taking(0).replace("Host: test\r\n", "Host: test\r\nTransfer-Encoding: chunked\r\n"),
    );
    await client.closed;

    expect(statusesIn(client.received())).toEqual([400]);
    expect(accepted).toEqual([]);
  });

  it.each(["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: test\r\nExpect: more\r\n\r\n"])(
    "answers other clients after garbage behind %j",
    async (refused) => {
      const { port } = await start();
      const client = connectRaw(port);

      client.socket.write(`${refused}nonsense\r\n\r\n`);
      await client.closed;

      expect(statusesIn(client.received())[0]).toBeGreaterThanOrEqual(400);
    },
  );

  it("still answers other clients", async () => {
    const { port } = await start();
    connectRaw(port).socket.end("nonsense\r\n\r\n");
    const client = connectRaw(port);

    client.socket.write(taking(0));

    await waitFor("an answer", () => client.received() !== "");
    expect(statusesIn(client.received())).toEqual([202]);
  });
});

describe("pipelining", () => {
  it("answers in order, even if a later response is ready first", async () => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.write(taking(100) + "GET /none HTTP/1.1\r\nHost: test\r\n\r\n" + taking(0));
    await waitFor("3 answers", () => statusesIn(client.received()).length === 3);

    const numbers = [...client.received().matchAll(/Location: (\d+)/g)].map(([, number]) => number);
    expect(statusesIn(client.received())).toEqual([202, 404, 202]);
    expect(numbers).toEqual(["1", "2"]);
  });

  it("answers begun requests before it answers 400 to garbage behind them", async () => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.write(`${taking(100)}${taking(0)}nonsense\r\n\r\n`);
    await client.closed;

    expect(statusesIn(client.received())).toEqual([202, 202, 400]);
  });

  it("answers begun requests before it answers 408 to a body that does not end", async () => {
    const { port } = await start({ ...QUICK, requestTimeout: 200 });
    const client = connectRaw(port);

    client.socket.write(taking(500) + taking(0).slice(0, -1));
    await client.closed;

    expect(statusesIn(client.received())).toEqual([202, 408]);
  });

  it("answers all requests of a client that has closed its sending side", async () => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.end(taking(50) + taking(0));
    await client.closed;

    expect(statusesIn(client.received())).toEqual([202, 202]);
  });

  it("answers the right request after a body that was not read", async () => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.write(taking(0).replace("application/json", "text/plain") + taking(0));
    await waitFor("2 answers", () => statusesIn(client.received()).length === 2);

    expect(statusesIn(client.received())).toEqual([415, 202]);
  });
});

describe("an idle connection", () => {
  it("is kept longer than the Keep-Alive hint", async () => {
    const { port } = await start({ keepAliveTimeout: 1_000 });
    const client = connectRaw(port);
    client.socket.write(taking(0));
    await waitFor("an answer", () => statusesIn(client.received()).length === 1);

    await sleep(2_500);
    client.socket.write(taking(0));
    await waitFor("2 answers", () => statusesIn(client.received()).length === 2);

    expect(client.received()).toContain("Keep-Alive: timeout=1\r\n");
  });

  it("has a Keep-Alive hint of ten seconds", async () => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.write(taking(0));
    await waitFor("an answer", () => statusesIn(client.received()).length === 1);

    expect(client.received()).toContain("Keep-Alive: timeout=10\r\n");
  });
});

describe("HttpServer#stop", () => {
  it("answers begun requests with Connection: close, and accepts no new connection", async () => {
    const { server, port, accepted } = await start();
    const client = connectRaw(port);
    client.socket.write(taking(200));
    await waitFor("a publish", () => accepted.length === 1);

    const stopped = server.stop(FOREVER);
    const late = connectRaw(port);
    await stopped;
    await Promise.all([client.closed, late.closed]);

    expect(statusesIn(client.received())).toEqual([202]);
    expect(client.received()).toContain("Connection: close");
    expect(late.received()).toBe("");
  });

  it("answers a request on an idle connection just after the stop", async () => {
    const { server, port } = await start();
    const client = connectRaw(port);
    client.socket.write(taking(0));
    await waitFor("an answer", () => statusesIn(client.received()).length === 1);

    const stopped = server.stop(FOREVER);
    await sleep(100);
    client.socket.write(taking(0));
    await stopped;
    await client.closed;

    expect(statusesIn(client.received())).toEqual([202, 202]);
    expect(client.received().match(/Connection: close/g)).toHaveLength(1);
  });

  it("answers all pipelined requests and closes after the last", async () => {
    const { server, port, accepted } = await start();
    const client = connectRaw(port);
    client.socket.write(taking(200) + taking(0) + taking(100));
    await waitFor("three publishes", () => accepted.length === 3);

    await server.stop(FOREVER);
    await client.closed;

    expect(statusesIn(client.received())).toEqual([202, 202, 202]);
    expect(client.received().match(/Connection: close/g)).toHaveLength(1);
    expect(client.received().lastIndexOf("HTTP/1.1")).toBeLessThan(
      client.received().indexOf("Connection: close"),
    );
  });

  it("answers on connections that only the kernel had accepted before the stop", async () => {
    const { server, port } = await start();
    const clients = Array.from({ length: 40 }, () => connectRaw(port));
    for (const { socket } of clients) socket.write(taking(0));

    await server.stop(FOREVER);
    await Promise.all(clients.map(({ closed }) => closed));

    expect(clients.map((client) => statusesIn(client.received())[0])).toEqual(Array(40).fill(202));
  });

  it("waits neither for idle connections nor for heads that do not end", async () => {
    const { server, port } = await start();
    const idle = connectRaw(port);
    const slow = connectRaw(port);
    idle.socket.write(taking(0));
    slow.socket.write("POST /send HTTP/1.1\r\n");
    await waitFor("an answer", () => statusesIn(idle.received()).length === 1);

    await server.stop(FOREVER);
    await Promise.all([idle.closed, slow.closed]);

    expect(statusesIn(slow.received())).toEqual([]);
  });

  it("lets clients close idle connections, and answers their requests until then", async () => {
    const { server, port } = await start({ keepAliveTimeout: 600_000 }, 0, Infinity);
    const clients = Array.from({ length: 50 }, () => connectRaw(port));
    for (const { socket } of clients) socket.write(taking(0));
    const answered = (count: number) => () =>
      clients.every((client) => statusesIn(client.received()).length === count);
    await waitFor("the first answers", answered(1));

    const stopped = server.stop(FOREVER);
    await waitFor("a closed port", () => isRefused(port));
    // The clients send up to two seconds late, as on a busy machine.
    for (const { socket } of clients) {
      await sleep(40);
      socket.write(taking(0));
    }
    await stopped;
    await Promise.all(clients.map(({ closed }) => closed));

    expect(answered(2)()).toBe(true);
    expect(clients.map((client) => client.received().match(/Connection: close/g)?.length)).toEqual(
      clients.map(() => 1),
    );
  });

  it("closes unfinished requests at the deadline", async () => {
    const { server, port, accepted } = await start();
    const client = connectRaw(port);
    client.socket.write(taking(60_000));
    await waitFor("a publish", () => accepted.length === 1);

    await server.stop(AbortSignal.timeout(100));
    await client.closed;

    expect(client.received()).toBe("");
  });

  it("loses no request of clients that keep their connections under load", async () => {
    const { server, port, accepted } = await start();
    const agent = new Agent({ keepAlive: true });
    const outcomes: (number | string)[] = [];
    const run = async () => {
      while (typeof outcomes.at(-1) !== "string") outcomes.push(await post(port, agent));
    };
    const clients = Promise.all(Array.from({ length: 8 }, run));
    await waitFor("200 outcomes", () => outcomes.length > 200);

    await server.stop(FOREVER);
    await clients;
    agent.destroy();

    const refused = outcomes.filter((outcome) => outcome !== 202);
    expect([...new Set(refused)]).toEqual(["ECONNREFUSED"]);
    expect(accepted).toHaveLength(outcomes.length - refused.length);
  });

  it("is unready and still accepts connections for a while, so that load balancers leave", async () => {
    const { server, port } = await start({}, 60_000);
    const leaving = new AbortController();

    const stopped = server.stop(leaving.signal);
    const late = connectRaw(port);
    late.socket.write(taking(0));
    await late.closed;
    leaving.abort();
    await stopped;

    expect(server.check()).toMatchObject({ blocks: true });
    expect(statusesIn(late.received())).toEqual([202]);
    expect(late.received()).toContain("Connection: close");
  });

  it("is unready while it stops", async () => {
    const { server } = await start();

    expect(server.check()).toBeUndefined();
    await server.stop(FOREVER);

    expect(server.check()).toEqual({ reason: "stopping", blocks: true });
  });
});

/** Whether nothing listens on a port. */
async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const refused = await once(socket, "connect").then(
    () => false,
    () => true,
  );
  socket.destroy();
  return refused;
}

/** Sends an email. Resolves to the status or to the code of the error. */
function post(port: number, agent: Agent): Promise<number | string> {
  return new Promise((resolve) => {
    const body = JSON.stringify({ ...EMAIL, subject: "1" });
    const headers = { "Content-Type": "application/json", "Content-Length": body.length };
    httpRequest(
      { port, host: "127.0.0.1", path: "/send", method: "POST", agent, headers },
      (response) => {
        response.resume().once("close", () => {
          resolve(response.statusCode ?? 0);
        });
      },
    )
      .once("error", (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? "error");
      })
      .end(body);
  });
}

describe("requests that Node would refuse without a problem document", () => {
  const body = JSON.stringify({ ...EMAIL, subject: "0" });
  const head = (...lines: string[]) =>
    ["POST /send HTTP/1.1", "Content-Type: application/json", ...lines, "", ""].join("\r\n");
  it.each([
    ["no Host", head("Content-Length: 0"), 400, "REQUEST_MALFORMED"],
    ["two Hosts", head("Host: a", "Host: b", "Content-Length: 0"), 400, "REQUEST_MALFORMED"],
    ["CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "REQUEST_MALFORMED"],
    ["an expectation", head("Host: a", "Expect: 200-ok"), 417, "EXPECTATION_UNKNOWN"],
    ["a length", head("Host: a", "Expect: 100-continue", "Content-Length: 99999999"), 413],
  ])("is a problem document: %s", async (_, request, status, code = "BODY_TOO_LARGE") => {
    const { port } = await start();
    const client = connectRaw(port);

    client.socket.write(request);
    await waitFor(`an answer ${code}`, () => client.received().includes(code));

    expect(statusesIn(client.received())).toEqual([status]);
    expect(client.received()).toMatch(/^X-Request-Id: [\w-]{36}\r$/im);
    client.socket.destroy();
  });

  it("answers 100 only before a body that it reads", async () => {
    const { port } = await start();
    const client = connectRaw(port);
    client.socket.write(head("Host: a", "Expect: 100-continue", `Content-Length: ${body.length}`));
    await waitFor("an answer", () => client.received() !== "");
    expect(statusesIn(client.received())).toEqual([100]);

    client.socket.write(body);
    await waitFor("2 answers", () => statusesIn(client.received()).length === 2);

    expect(statusesIn(client.received())).toEqual([100, 202]);
    client.socket.destroy();
  });
});

describe("large bodies", () => {
  /** Sends a head, and this many bytes of the body that it announces. */
  const begin = (port: number, announced: number, bytes = 0) => {
    const client = connectRaw(port);
    client.socket.write(
      `POST /send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${announced}\r\n\r\n`,
    );
    client.socket.write("x".repeat(bytes));
    return client;
  };
  const answers = async (client: ReturnType<typeof connectRaw>) => {
    await waitFor("an answer", () => statusesIn(client.received()).length === 1);
    return client.received();
  };

  it("are refused while the memory is used up, and small ones are not", async () => {
    const { port } = await start();
    const holding = [begin(port, 6_000_001, 6_000_000), begin(port, 6_000_001, 6_000_000)];
    await sleep(200);

    const refused = begin(port, 6_000_001, 6_000_000);
    expect(await answers(refused)).toMatch(/503[^]*BODIES_FULL[^]*not_accepted/);
    const small = connectRaw(port);
    small.socket.write(taking(0));
    expect(statusesIn(await answers(small))).toEqual([202]);

    for (const client of [...holding, refused, small]) client.socket.destroy();
    await sleep(200);
    const later = connectRaw(port);
    later.socket.write(rawSend({ ...EMAIL, subject: "0", body: "x".repeat(900_000) }));
    expect(statusesIn(await answers(later))).toEqual([202]);
    later.socket.destroy();
  });

  it("use no memory before they arrive", async () => {
    const { port } = await start();
    const announced = Array.from({ length: 10 }, () => begin(port, 6_000_000));
    await sleep(200);

    const large = connectRaw(port);
    large.socket.write(rawSend({ ...EMAIL, subject: "0", body: "x".repeat(900_000) }));

    expect(statusesIn(await answers(large))).toEqual([202]);
    for (const client of [...announced, large]) client.socket.destroy();
  });
});

describe("a body in chunks", () => {
  const HEAD = `POST /send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

  it("is read like any other body, many at the same time", async () => {
    const { port } = await start();
    const text = JSON.stringify({ ...EMAIL, subject: "200" });
    const clients = Array.from({ length: 32 }, () => connectRaw(port));
    for (const { socket } of clients) socket.write(HEAD + chunk(text.slice(0, 9)));
    await sleep(50);
    for (const { socket } of clients) socket.write(`${chunk(text.slice(9))}0\r\n\r\n`);

    await waitFor("all answers", () =>
      clients.every((each) => statusesIn(each.received()).length === 1),
    );

    expect(clients.flatMap((each) => statusesIn(each.received()))).toEqual(Array(32).fill(202));
    for (const { socket } of clients) socket.destroy();
  });

  it("without an end is refused with 413", async () => {
    const { port } = await start();
    const client = connectRaw(port);
    client.socket.write(HEAD);
    const endless = setInterval(() => client.socket.write(chunk("x".repeat(500_000))), 5);

    await waitFor("the refusal", () => client.received().includes("BODY_TOO_LARGE"));

    clearInterval(endless);
    expect(statusesIn(client.received())).toEqual([413]);
    client.socket.destroy();
  });
});
