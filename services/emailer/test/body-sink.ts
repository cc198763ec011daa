import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

/** A relay that keeps the bytes between DATA and the final dot, as they were on the wire. */
export interface BodySink {
  port: number;
  /** The bytes of each body, with the final dot's line. */
  bodies: Buffer[];
  close: () => void;
}

const END = Buffer.from("\r\n.\r\n");
const LINE_END = Buffer.from("\r\n");

/** Starts a relay that takes every mail, reads bytes and never decodes them. */
export async function startBodySink(): Promise<BodySink> {
  const bodies: Buffer[] = [];
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    let inBody = false;
    socket.on("error", () => undefined);
    socket.write("220 relay.example ESMTP\r\n");
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const separator = inBody ? END : LINE_END;
        const found = rest.indexOf(separator);
        if (found < 0) return;
        const taken = rest.subarray(0, found + separator.length);
        rest = rest.subarray(taken.length);
        if (inBody) bodies.push(taken);
        inBody = !inBody && taken.toString() === "DATA\r\n";
        socket.write(inBody ? "354 go on\r\n" : "250 2.0.0 ok\r\n");
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    bodies,
    close: () => void server.close(),
  };
}

/** Removes the final dot and one dot from each line that begins with one (RFC 5321 §4.5.2), byte by byte. */
export function unstuff(body: Buffer): Buffer {
  const lines = body.toString("latin1").split("\r\n").slice(0, -2);
  const unstuffed = lines.map((line) => (line.startsWith(".") ? line.slice(1) : line));
  return Buffer.from(unstuffed.map((line) => `${line}\r\n`).join(""), "latin1");
}
