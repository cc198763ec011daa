import { createConnection, type Socket } from "node:net";
import type { Publication } from "@wellsent/amqp";
import { createFakeLog } from "@wellsent/testing";
import { Registry } from "prom-client";
import { createApp, type AppOptions } from "../src/app.ts";
import { createApiMetrics } from "../src/metrics.ts";

/** The API without a broker: what would have been published is kept. */
export function createTestApp(options: Partial<AppOptions> = {}) {
  const published: Publication[] = [];
  const registry = new Registry();
  const log = createFakeLog();
  const app = createApp({
    publish: (publication) => {
      published.push(publication);
      return Promise.resolve();
    },
    refusal: () => undefined,
    authenticate: () => "test",
    bodyMaxBytes: 1_048_576,
    patienceMs: 300,
    metrics: createApiMetrics(registry),
    log,
    ...options,
  });
  return { app, published, registry, lines: log.lines };
}

/** A valid email as the article writes it. */
export const EMAIL = { toaddr: "ada@example.com", subject: "Hello", body: "Hello, Ada\n" };

/** A connection on which a test writes what it likes, and what came back. */
export interface RawClient {
  socket: Socket;
  received(): string;
  closed: Promise<void>;
}

/** Connects to a server on loopback; resets by the server are part of `closed`. */
export function connectRaw(port: number): RawClient {
  const socket = createConnection({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk)).on("error", () => undefined);
  socket.on("end", () => socket.end());
  const closed = new Promise<void>((resolve) =>
    socket.once("close", () => {
      resolve();
    }),
  );
  return { socket, closed, received: () => Buffer.concat(chunks).toString() };
}

/** The statuses of the responses in a connection's text, in order. */
export function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
}

/** A `POST /send` as it goes over the wire. */
export function rawSend(email: object = EMAIL, headers = ""): string {
  const body = JSON.stringify(email);
  return `POST /send HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}
