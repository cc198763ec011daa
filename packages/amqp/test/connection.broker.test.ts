import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createVhost, deleteVhost, waitFor } from "@wellsent/testing";
import type { AmqpConnection } from "../src/connection.ts";
import { Rig } from "./rig.ts";
import { startProxy, type Proxy } from "./proxy.ts";

let url: string;
let rig: Rig;
let proxy: Proxy;
let bad: Server;
/** How the faulty server handles a connection. */
let misbehave: (socket: Socket) => void;
let badUrl: string;

beforeAll(async () => {
  url = await createVhost();
});
afterAll(() => deleteVhost(url));
beforeEach(async () => {
  rig = new Rig();
  proxy = await startProxy(url);
  const sockets = new Set<Socket>();
  bad = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    misbehave(socket);
  }).listen(0, "127.0.0.1");
  bad.once("close", () => {
    for (const socket of sockets) socket.destroy();
  });
  await once(bad, "listening");
  badUrl = `amqp://127.0.0.1:${(bad.address() as AddressInfo).port}/`;
  misbehave = (socket) => socket.destroy();
});
afterEach(async () => {
  await rig.stop();
  await proxy.close();
  bad.close();
  bad.emit("close");
});

const isUp = (connection: AmqpConnection) =>
  waitFor("the connection", () => connection.check() === undefined, 30_000);
const failures = () =>
  rig.log.lines.filter(({ message }) => message === "broker disconnected, reconnecting");

describe("AmqpConnection", () => {
  it("connects, and reports it in readiness and metrics", async () => {
    const connection = await rig.connect(url);
    expect(connection.check()).toStrictEqual({ reason: "broker down (test)", blocks: false });

    await isUp(connection);

    expect(await rig.metric("wellsent_amqp_connection_up", { purpose: "test" })).toBe(1);
    expect(await rig.metric("wellsent_amqp_connection_blocked", { purpose: "test" })).toBe(0);
    expect(await rig.metric("wellsent_amqp_connects_total", { purpose: "test" })).toBe(1);
    expect(connection.blocked).toBe(false);
  });

  it("connects to a virtual host with a percent-encoded name", async () => {
    const other = new URL(url);
    other.pathname = "/%2F";

    const connection = await rig.connect(other.href);

    await isUp(connection);

    expect(connection.check()).toBeUndefined();
  });

  it("waits for a broker that is down at the start", async () => {
    proxy.refuse(true);
    const connection = await rig.connect(proxy.url);
    await waitFor("two failures", () => failures().length >= 2);

    proxy.refuse(false);

    await isUp(connection);
    expect(await rig.metric("wellsent_amqp_connects_total")).toBe(1);
  });

  it("reports that the broker is down, and reconnects", async () => {
    const connection = await rig.connect(proxy.url);
    await isUp(connection);

    proxy.refuse(true);
    proxy.cut();
    await waitFor("the loss", () => connection.check());

    expect(connection.check()).toStrictEqual({ reason: "broker down (test)", blocks: false });
    expect(await rig.metric("wellsent_amqp_connection_up")).toBe(0);
    proxy.refuse(false);
    await isUp(connection);
    expect(await rig.metric("wellsent_amqp_connects_total")).toBe(2);
  });

  it("reads the URL at each connect, so that a rotated password needs no restart", async () => {
    const wrong = new URL(url);
    wrong.password = "wrong";
    let current = wrong.href;
    const connection = await rig.connect(() => current);
    await waitFor("a refusal", () => failures().length);

    current = url;

    await isUp(connection);
    expect(JSON.stringify(rig.log.lines)).not.toContain("wrong");
  });

  it.each([
    ["empty text, as when its file is missing", ""],
    ["what is no URL", "secret"],
    ["another protocol", "http://secret.example"],
    ["a bad escape", "amqp://user:%zz@127.0.0.1/"],
  ])("waits while the URL is %s", async (_, broken) => {
    let current = broken;
    const connection = await rig.connect(() => current);
    await waitFor("two failures", () => failures().length >= 2);

    current = url;

    await isUp(connection);
    expect(JSON.stringify(rig.log.lines)).not.toContain("secret");
  });

  const heartbeat = Buffer.from([8, 0, 0, 0, 0, 0, 0, 0xce]);
  it.each<[string, (socket: Socket) => void]>([
    ["closes at once", (socket) => socket.end()],
    ["resets at once", (socket) => socket.resetAndDestroy()],
    ["answers the protocol header with another", (socket) => socket.end("AMQP\0\0\x09\x02")],
    ["answers in HTTP", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["closes amid a frame", (socket) => socket.end(Buffer.from([1, 0, 0, 0, 0, 1, 0, 0, 10]))],
    [
      "resets in the middle of a frame",
      (socket) => socket.write(Buffer.from([1, 0, 0, 0]), () => socket.resetAndDestroy()),
    ],
    [
      "announces a frame of 4 GiB",
      (socket) => socket.end(Buffer.from([1, 0, 0, 255, 255, 255, 255, 0])),
    ],
    [
      "sends a frame without its end",
      (socket) => socket.end(Buffer.from([8, 0, 0, 0, 0, 0, 0, 0])),
    ],
    ["sends what does not belong there", (socket) => socket.end(heartbeat)],
    [
      "sends an unknown method",
      (socket) => socket.end(Buffer.from([1, 0, 0, 0, 0, 0, 4, 9, 9, 9, 9, 0xce])),
    ],
  ])("survives a server that %s, and connects to a good one", async (_, misbehaves) => {
    misbehave = misbehaves;
    let current = badUrl;
    const connection = await rig.connect(() => current);
    await waitFor("two failures", () => failures().length >= 2);

    current = url;

    await isUp(connection);
    expect(await rig.metric("wellsent_amqp_connects_total")).toBe(1);
  });

  it("leaves a server that never answers after ten seconds, and connects to another one", async () => {
    misbehave = () => undefined;
    let current = badUrl;
    const connection = await rig.connect(() => current);
    await once(bad, "connection");

    current = url;

    await isUp(connection);
    expect(failures().length).toBeGreaterThanOrEqual(1);
  });

  it("stops while it is disconnected, and does not connect afterwards", async () => {
    proxy.refuse(true);
    const connection = await rig.connect(proxy.url);
    await waitFor("a failure", () => failures().length);

    await connection.stop();
    proxy.refuse(false);
    const tries = failures().length;

    expect(connection.check()).toMatchObject({ reason: "broker down (test)" });
    expect(failures()).toHaveLength(tries);
  });

  it("stops within seconds when the broker does not answer", async () => {
    const connection = await rig.connect(proxy.url);
    await isUp(connection);
    proxy.meddle(() => "drop");

    const began = Date.now();
    await connection.stop();

    expect(Date.now() - began).toBeLessThan(4_000);
  });

  it("can be stopped before it was started", async () => {
    const { AmqpConnection: Connection } = await import("../src/connection.ts");
    const options = { url: () => url, service: "test", purpose: "test", ...rig.common };

    await expect(new Connection(options).stop()).resolves.toBeUndefined();
  });
});
