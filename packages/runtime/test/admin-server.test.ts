import { afterEach, describe, expect, it } from "@jest/globals";
import { createServer } from "node:http";
import { Gauge, Registry } from "prom-client";
import { createRegistry } from "../src/metrics.ts";
import { createAdminServer, listen, type Check } from "../src/admin-server.ts";
import { createFakeLog } from "@wellsent/testing";

const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function serve(checks: Check[] = [], registry = new Registry(), host = "::") {
  const log = createFakeLog();
  const server = createAdminServer({ host, port: 0, registry, checks, log });
  await server.start();
  stops.push(() => server.stop(AbortSignal.abort()));
  const port = Number(log.lines[0]?.["port"]);
  const get = async (path: string, address = "127.0.0.1") => {
    const response = await fetch(`http://${address}:${port}${path}`);
    return {
      status: response.status,
      type: response.headers.get("content-type"),
      text: await response.text(),
    };
  };
  return { get, log, port, server };
}

describe("createAdminServer", () => {
  it.each(["127.0.0.1", "[::1]"])("answers on %s when it listens on ::", async (address) => {
    const { get } = await serve();

    expect(await get("/healthz", address)).toMatchObject({
      status: 200,
      text: '{"status":"ok"}\n',
    });
  });

  it("answers 200 on /healthz while checks report faults", async () => {
    const { get } = await serve([() => ({ reason: "broker down", blocks: true })]);

    expect(await get("/healthz")).toMatchObject({ status: 200 });
  });

  it("is ready when no check reports a fault", async () => {
    const { get } = await serve([() => undefined]);

    expect(await get("/readyz")).toMatchObject({
      status: 200,
      type: "application/json",
      text: '{"status":"ready","reasons":[]}\n',
    });
  });

  it("is ready, with the reason, when no reported fault blocks", async () => {
    const { get } = await serve([() => ({ reason: "broker down", blocks: false })]);

    expect(await get("/readyz")).toMatchObject({
      status: 200,
      text: '{"status":"ready","reasons":["broker down"]}\n',
    });
  });

  it("is not ready, with every reason, when a reported fault blocks", async () => {
    const { get } = await serve([
      () => ({ reason: "not consuming", blocks: true }),
      () => undefined,
      () => ({ reason: "broker down", blocks: false }),
    ]);

    expect(await get("/readyz")).toMatchObject({
      status: 503,
      text: '{"status":"not ready","reasons":["not consuming","broker down"]}\n',
    });
  });

  it("calls the checks for every request", async () => {
    let blocks = true;
    const { get } = await serve([() => (blocks ? { reason: "starting", blocks } : undefined)]);
    expect(await get("/readyz")).toMatchObject({ status: 503 });

    blocks = false;

    expect(await get("/readyz?verbose")).toMatchObject({ status: 200 });
  });

  it("serves the metrics in Prometheus' text format", async () => {
    const { get } = await serve([], createRegistry("api"));

    const { status, type, text } = await get("/metrics");

    expect(status).toBe(200);
    expect(type).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(text).toMatch(/^wellsent_build_info\{service="api",version="\d+\.\d+\.\d+"\} 1$/m);
    expect(text).toMatch(/^process_cpu_seconds_total /m);
  });

  it("answers 404 on other paths", async () => {
    const { get } = await serve();

    expect(await get("/")).toMatchObject({ status: 404 });
    expect(await get("/healthz/../etc")).toMatchObject({ status: 404 });
  });

  it("answers 500 when a metric cannot be collected, and answers the next request", async () => {
    const registry = new Registry();
    new Gauge({
      name: "broken",
      help: "Throws",
      registers: [registry],
      collect: () => Promise.reject(new Error("secret")),
    });
    const { get, log } = await serve([], registry);

    expect(await get("/metrics")).toMatchObject({ status: 500 });
    expect(await get("/healthz")).toMatchObject({ status: 200 });
    expect(JSON.stringify(log.lines)).not.toContain("secret");
  });

  it("answers 500 when a check throws, and answers the next request", async () => {
    const { get } = await serve([
      () => {
        throw new Error("secret");
      },
    ]);

    expect(await get("/readyz")).toMatchObject({ status: 500 });
    expect(await get("/healthz")).toMatchObject({ status: 200 });
  });

  it("does not start on a port that is in use", async () => {
    const { port, log } = await serve();
    const second = createAdminServer({
      host: "::",
      port,
      registry: new Registry(),
      checks: [],
      log,
    });

    await expect(second.start()).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  it("closes its port and its connections when it stops", async () => {
    const { get, server } = await serve();
    await get("/healthz");

    await server.stop(AbortSignal.abort());

    await expect(get("/healthz")).rejects.toThrow("fetch failed");
  });

  it("can be stopped before it was started", () => {
    const log = createFakeLog();
    const options = { host: "::", port: 0, registry: new Registry(), checks: [], log };

    expect(() => createAdminServer(options).stop(AbortSignal.abort())).not.toThrow();
  });
});

describe("listen", () => {
  it("resolves to the port that the system chose", async () => {
    const server = createServer();
    stops.push(() => server.close());

    expect(await listen(server, "127.0.0.1", 0)).toBeGreaterThan(0);
  });
});
