import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import type { Component } from "./lifecycle.ts";
import { describe, type Log } from "./log.ts";

/** Why one part of a service does not work. `/readyz` lists the reasons. */
export interface Fault {
  reason: string;
  /** Whether this fault makes the service unready. */
  blocks: boolean;
}

/** Returns the current fault of one part of the service, or `undefined` if that part works. */
export type Check = () => Fault | undefined;

export interface AdminServerOptions {
  host: string;
  port: number;
  registry: Registry;
  checks: readonly Check[];
  log: Log;
}

/**
 * Creates the server of the metrics port. `/healthz` answers 200 as long as the event loop runs. `/readyz` answers 200 or
 * 503, with the reasons. `/metrics` has the text format of Prometheus.
 */
export function createAdminServer(options: AdminServerOptions): Required<Component> {
  const { host, port, log } = options;
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(request.url ?? "/", response, options).catch((error: unknown) => {
      log.error("metrics not served", describe(error));
      json(response, 500, { status: "error" });
    });
  });
  return {
    name: "metrics",
    async start() {
      log.info("metrics port listens", { port: await listen(server, host, port) });
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Binds a server. Resolves to its port. @throws {Error} a system error, for example EADDRINUSE */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address ? address.port : port;
}

async function answer(url: string, response: ServerResponse, options: AdminServerOptions) {
  const { registry, checks } = options;
  const path = url.split("?")[0];
  if (path === "/healthz") json(response, 200, { status: "ok" });
  else if (path === "/readyz") answerReadiness(response, checks);
  else if (path === "/metrics") await answerMetrics(response, registry);
  else json(response, 404, { status: "not found" });
}

async function answerMetrics(response: ServerResponse, registry: Registry): Promise<void> {
  const text = await registry.metrics();
  response.setHeader("Content-Type", registry.contentType).end(text);
}

function answerReadiness(response: ServerResponse, checks: readonly Check[]): void {
  const faults = checks.flatMap((check) => check() ?? []);
  const ready = !faults.some((fault) => fault.blocks);
  json(response, ready ? 200 : 503, {
    status: ready ? "ready" : "not ready",
    reasons: faults.map((fault) => fault.reason),
  });
}

function json(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { "Content-Type": "application/json" }).end(text);
}
