import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { waitFor } from "@wellsent/testing";
import { spawnService, type Service } from "./spawn-service.ts";

/** Memory limit of the API in the chart. */
export const LIMIT_MIB = 320;

const MIB = 1_048_576;
const HEAD = "POST /send HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";

/** What is sent on each of several connections at once. */
export interface Attack {
  connections: number;
  send: (socket: Socket) => void;
  /** The status of the answer, or 0 where the attack waits for none. */
  status: number;
}

const whole = (body: string) => `${HEAD}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const attack = (connections: number, text: string, status = 0): Attack => ({
  connections,
  send: (socket) => void socket.write(text),
  status,
});
const list = (element: string, bytes: number) => {
  const elements = `${element},`.repeat(Math.floor(bytes / (element.length + 1)));
  return whole(`{"toaddr":[${elements}${element}],"subject":"","body":""}`);
};
const email = (body: string) => whole(JSON.stringify({ toaddr: "a@b.example", subject: "", body }));

/** Requests that cost a server more memory than they cost their client. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  "lists of empty objects, 6.3 MB": attack(2, list("{}", 6_200_000), 422),
  "lists of empty lists, 6.3 MB": attack(8, list("[]", 6_200_000), 422),
  "lists of addresses, 6.3 MB": attack(8, list('"a@b.ch"', 6_200_000), 422),
  "100,000 members": attack(
    8,
    whole(`{${Array.from({ length: 100_000 }, (_, n) => `"${n}":0`).join()}}`),
    422,
  ),
  "a name of 6 MB": attack(8, whole(`{"${"k".repeat(6_000_000)}":1}`)),
  "a number of 6 MB": attack(8, whole(`{"toaddr":${"9".repeat(6_000_000)}}`)),
  "nesting of 6 MB": attack(8, whole("[".repeat(6_000_000)), 400),
  "escapes, 6.3 MB": attack(8, email("\u0001".repeat(1_040_000))),
  "emails of 1 MiB": attack(200, email("x".repeat(1_000_000))),
  "emails of 60 kB": attack(1_000, email("x".repeat(60_000))),
  "unfinished bodies of 65 kB": attack(
    1_990,
    `${HEAD}Content-Length: 66000\r\n\r\n${"x".repeat(65_000)}`,
  ),
  "unfinished bodies of 1 MB": attack(
    500,
    `${HEAD}Content-Length: 1100000\r\n\r\n${"x".repeat(1_000_000)}`,
  ),
  "chunks of one byte": attack(
    500,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(50_000)}`,
  ),
  "unfinished heads of 15 kB": attack(1_990, `${HEAD}X: ${"x".repeat(15_000)}`),
  "heads of a thousand fields": attack(
    500,
    `${HEAD}${"a: b\r\n".repeat(1_500)}Content-Length: 9\r\n\r\n`,
  ),
  "connections that send nothing": attack(1_990, ""),
  "pipelined requests": attack(50, "GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(20_000)),
  "pipelined emails": attack(50, email("x".repeat(1_000)).repeat(2_000)),
  "answers that nobody reads": {
    connections: 100,
    send: (socket) => {
      socket.pause();
      socket.write(email("x".repeat(1_000_000)));
    },
    status: 0,
  },
};

/** Starts an API; `amqp` may be a broker that is down, because bodies are read before a send waits for it. */
export async function startApi(amqp: string): Promise<{ api: Service; port: number }> {
  const api = await spawnService("api", {
    AMQP_URL: amqp,
    HTTP_HOST: "127.0.0.1",
    HTTP_PORT: "0",
    API_ANONYMOUS: "true",
  });
  // A benchmark must not end before its service does.
  api.process.ref();
  return { api, port: await api.port("API listens") };
}

/** Runs an attack for as long as it is answered, or six seconds. Resolves to the largest resident memory, in MiB. */
export async function peakUnder({ connections, send, status }: Attack, api: Service, port: number) {
  const answered = Array.from({ length: connections }, () => "");
  const sockets = answered.map((_, index) => {
    const socket = connect(port, "127.0.0.1", () => {
      send(socket);
    });
    socket.on("error", () => undefined);
    socket.on("data", (data: Buffer) => {
      answered[index] = (answered[index] ?? "") + data.toString("latin1", 0, 12);
    });
    return socket;
  });
  const until = performance.now() + 6_000;
  await waitFor("the answers", () => {
    if (api.process.exitCode !== null || api.process.signalCode !== null) {
      throw new Error("the API ended");
    }
    const all = status > 0 && answered.every((text) => text.startsWith(`HTTP/1.1 ${status}`));
    return all || performance.now() > until;
  });
  const peak = residentPeak(api.process.pid ?? 0);
  for (const socket of sockets) socket.destroy();
  return peak;
}

/** Linux keeps the largest resident memory of each process. */
function residentPeak(pid: number): number {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round((Number(kilobytes) * 1_024) / MIB);
}
