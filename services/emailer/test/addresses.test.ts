import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { Worker } from "node:worker_threads";
import { Addresses, connectTo } from "../src/relay/addresses.ts";

const live = new AbortController().signal;

describe("Addresses", () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  it.each(["127.0.0.1", "::1", "2001:db8::1"])("does not look up the address %s", async (host) => {
    const addresses = new Addresses(host, () => Promise.reject(new Error("looked up")));

    expect(await addresses.inOrder(new AbortController().signal)).toEqual([host]);
  });

  it("looks the name up each time, and keeps the resolver's order", async () => {
    const { addresses, found, lookups } = setUp();
    expect(await addresses.inOrder(new AbortController().signal)).toEqual([
      "::1",
      "127.0.0.1",
      "127.0.0.2",
    ]);

    found.splice(0, 3, "192.0.2.1");

    expect(await addresses.inOrder(new AbortController().signal)).toEqual(["192.0.2.1"]);
    expect(lookups).toEqual(["relay.example", "relay.example"]);
  });

  it("tries an address that failed after the others, for ten minutes", async () => {
    const { addresses } = setUp();
    addresses.note("::1", false);

    const last = ["127.0.0.1", "127.0.0.2", "::1"];
    expect(await addresses.inOrder(new AbortController().signal)).toEqual(last);
    jest.advanceTimersByTime(599_999);
    expect(await addresses.inOrder(new AbortController().signal)).toEqual(last);
    jest.advanceTimersByTime(1);
    expect(await addresses.inOrder(new AbortController().signal)).toEqual([
      "::1",
      "127.0.0.1",
      "127.0.0.2",
    ]);
  });

  it("keeps the resolver's order when all failed, and moves up one that works again", async () => {
    const { addresses, found } = setUp();
    for (const address of found) addresses.note(address, false);
    expect(await addresses.inOrder(new AbortController().signal)).toEqual(found);

    addresses.note("127.0.0.2", true);

    expect(await addresses.inOrder(new AbortController().signal)).toEqual([
      "127.0.0.2",
      "::1",
      "127.0.0.1",
    ]);
  });

  it("reports a name that has no address as a failed connection", async () => {
    const cause = Object.assign(new Error("no"), { code: "ENOTFOUND" });
    const addresses = new Addresses("relay.example", () => Promise.reject(cause));

    await expect(addresses.inOrder(new AbortController().signal)).rejects.toMatchObject({
      code: "ECONNECTION",
      command: "CONN",
      systemCode: "ENOTFOUND",
    });
  });
});

describe("connectTo", () => {
  it.each(["127.0.0.1", "::1"])("connects to %s", async (address) => {
    const { port, close } = await listen(address);

    const socket = await connectTo(address, port, 10_000, live);

    expect(socket.remoteAddress).toBe(address);
    socket.destroy();
    close();
  });

  it("reports an address where nobody listens with the system's reason", async () => {
    const { port, close } = await listen("127.0.0.1");
    close();

    await expect(connectTo("127.0.0.1", port, 10_000, live)).rejects.toMatchObject({
      code: "ECONNECTION",
      systemCode: "ECONNREFUSED",
    });
  });

  it("reports that it was broken off", async () => {
    const { port, close } = await listen("127.0.0.1");

    const connecting = connectTo("127.0.0.1", port, 10_000, AbortSignal.abort());

    await expect(connecting).rejects.toMatchObject({ code: "EABORT", command: "CONN" });
    close();
  });

  it("gives up an address that does not accept in time", async () => {
    const { port, close } = await listenWithFullQueue();

    const connecting = connectTo("127.0.0.1", port, 200, live);

    await expect(connecting).rejects.toMatchObject({ code: "ETIMEDOUT", command: "CONN" });
    await close();
  });
});

function setUp() {
  const found = ["::1", "127.0.0.1", "127.0.0.2"];
  const lookups: string[] = [];
  const addresses = new Addresses("relay.example", (host) => {
    lookups.push(host);
    return Promise.resolve([...found]);
  });
  return { addresses, found, lookups };
}

async function listen(host: string) {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, host);
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

/** A port whose queue of connections is full, because its process accepts none: the system drops further ones. */
async function listenWithFullQueue() {
  const worker = new Worker(NEVER_ACCEPTS, { eval: true });
  const [port] = (await once(worker, "message")) as [number];
  const fillers = [1, 2].map(() => connect(port, "127.0.0.1"));
  await Promise.all(fillers.map((socket) => once(socket, "connect")));
  const close = async () => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  };
  return { port, close };
}

const NEVER_ACCEPTS = `
  const { parentPort } = require("node:worker_threads");
  const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 });
  server.once("listening", () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;
