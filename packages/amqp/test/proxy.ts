import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";

/** The AMQP 0-9-1 methods that tests change, by class and method id. */
const METHODS: Record<string, string> = {
  "10.30": "connection.tune",
  "10.41": "connection.open-ok",
  "20.11": "channel.open-ok",
  "40.11": "exchange.declare-ok",
  "50.11": "queue.declare-ok",
  "50.21": "queue.bind-ok",
  "60.11": "basic.qos-ok",
  "60.20": "basic.consume",
  "60.21": "basic.consume-ok",
  "60.30": "basic.cancel",
  "60.31": "basic.cancel-ok",
  "60.80": "basic.ack",
  "85.11": "confirm.select-ok",
};
const PROTOCOL_HEADER_BYTES = 8;
const FRAME_HEADER_BYTES = 7;
const METHOD_FRAME = 1;

/** How a frame is handled: passed on, dropped, or the connection is reset before it or closed within it. */
export type Act = "pass" | "drop" | "reset" | "half";

type Decide = (method: string, frame: Buffer) => Act | Promise<Act>;

/** A TCP proxy before the broker. A test controls each frame. */
export interface Proxy {
  /** The broker's URL, through the proxy. */
  url: string;
  /** Decides how each later frame is handled, in order. It may change a frame. A frame that has no method has the method "". */
  meddle: (decide: Decide) => void;
  /** Resets every connection. */
  cut: () => void;
  /** While true, connections stay open and no byte passes, as on a stalled network. */
  stall: (stalling: boolean) => void;
  /** Resets new connections at once while true. */
  refuse: (refusing: boolean) => void;
  /** Closes all connections and the proxy. */
  close: () => Promise<void>;
}

/** Starts a proxy before the broker of this URL. */
export async function startProxy(target: string): Promise<Proxy> {
  const broker = new URL(target);
  const sockets = new Set<Socket>();
  let refusing = false;
  let flowing = Promise.withResolvers<undefined>();
  flowing.resolve(undefined);
  let decide: Decide = () => "pass";

  const server = createServer({ noDelay: true }, (client) => {
    client.on("error", () => undefined);
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ port: Number(broker.port), host: broker.hostname, noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    }
    const whenFlowing: Decide = async (method, frame) => {
      await flowing.promise;
      return decide(method, frame);
    };
    void pump(client, upstream, PROTOCOL_HEADER_BYTES, whenFlowing);
    void pump(upstream, client, 0, whenFlowing);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");

  const through = new URL(target);
  through.port = String((server.address() as AddressInfo).port);
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: through.href,
    meddle: (deciding) => {
      decide = deciding;
    },
    cut,
    stall: (stalling) => {
      flowing.resolve(undefined);
      flowing = Promise.withResolvers<undefined>();
      if (!stalling) flowing.resolve(undefined);
    },
    refuse: (refuses) => {
      refusing = refuses;
    },
    close: async () => {
      server.close();
      cut();
      await once(server, "close");
    },
  };
}

async function pump(
  source: Socket,
  sink: Socket,
  greetingBytes: number,
  decide: Decide,
): Promise<void> {
  let pending = Buffer.alloc(0);
  let expected = greetingBytes;
  try {
    for await (const chunk of source) {
      pending = Buffer.concat([pending, chunk as Buffer]);
      for (;;) {
        const length = expected || frameLength(pending);
        if (length === undefined || pending.length < length) break;
        const bytes = pending.subarray(0, length);
        pending = pending.subarray(length);
        const act = expected ? "pass" : await decide(methodOf(bytes), bytes);
        expected = 0;
        if (act === "pass") sink.write(bytes);
        if (act === "half") sink.write(bytes.subarray(0, Math.ceil(length / 2)));
        if (act === "reset") sink.resetAndDestroy();
        if (act === "half") sink.end();
        if (act === "half" || act === "reset") return;
      }
    }
  } catch {
    // The other side has closed first.
  }
  sink.end();
}

function frameLength(bytes: Buffer): number | undefined {
  return bytes.length < FRAME_HEADER_BYTES
    ? undefined
    : FRAME_HEADER_BYTES + bytes.readUInt32BE(3) + 1;
}

function methodOf(frame: Buffer): string {
  if (frame[0] !== METHOD_FRAME) return "";
  const id = `${frame.readUInt16BE(7)}.${frame.readUInt16BE(9)}`;
  return METHODS[id] ?? id;
}
