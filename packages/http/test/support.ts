import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createFakeLog } from "@wellsent/testing";
import { Registry } from "prom-client";
import { createHttpMetrics } from "../src/metrics.ts";
import { parseJsonBody, readBody, requireJson } from "../src/json-body.ts";
import { createHttpApp, type Route } from "../src/routes.ts";

/** The body of an email has up to 1 MiB, and JSON can escape one byte as six. */
const LIMIT_BYTES = 6_400_000;

const operation = { operationId: "send", summary: "Send", responses: {}, problems: [] };

/** The email of a test. Its subject is the time that the response takes, in milliseconds. */
export const EMAIL = { toaddr: "ada@example.com", subject: "0", body: "Hello, Ada\n" };

/** Creates an application with `POST /send`. It stores accepted emails, and returns their number in `Location`. */
export function createTestApp(limitBytes = LIMIT_BYTES) {
  const accepted: unknown[] = [];
  const registry = new Registry();
  const metrics = createHttpMetrics(registry);
  const log = createFakeLog();
  const accept: Route["handlers"][number] = async (request, response) => {
    const email = request.body as Partial<typeof EMAIL>;
    accepted.push(email);
    const number = accepted.length;
    await sleep(Number(email.subject ?? 0), undefined, { ref: false });
    response.status(202).location(String(number)).json(email);
  };
  const handlers = [requireJson, readBody(limitBytes), parseJsonBody(), accept];
  const routes: Route[] = [{ method: "post", path: "/send", operation, handlers }];
  const app = createHttpApp({ routes, metrics, log });
  return { app, accepted, metrics, registry, log };
}

/** A connection on which a test writes any bytes, and the bytes that the server sent. */
export interface RawClient {
  socket: Socket;
  received(): string;
  closed: Promise<void>;
}

/** Connects to a server on loopback; a reset by the server counts as `closed`. */
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

/** Returns the statuses of the responses in the text of a connection, in order. */
export function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
}

/** Returns the bytes of a `POST /send`. */
export function rawSend(email: object = EMAIL, headers = ""): string {
  const body = JSON.stringify(email);
  return `POST /send HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}
