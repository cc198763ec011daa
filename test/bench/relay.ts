import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { poolAt, relaysAt, type Side } from "../../services/emailer/test/speed.ts";

/**
 * Emails per second of the emailer's relays (A) and of a bare nodemailer pool (B), in turn, A B A B. Both send the same mails
 * over 10 connections to a relay in another thread that replies at once. Prints each pair and the ratio A/B. `--nagle` leaves
 * the pool's sockets as nodemailer makes them, `--only=A` runs one side for a profile:
 * `npm run bench:relay -- --count=2000 --pairs=8`.
 */
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "2000" },
    pairs: { type: "string", default: "8" },
    bytes: { type: "string", default: "2000" },
    nagle: { type: "boolean", default: false },
    only: { type: "string" },
  },
});
const COUNT = Number(values.count);
const BYTES = Number(values.bytes);

if (isMainThread) await measure();
else await serve();

async function measure(): Promise<void> {
  const sink = new Worker(new URL(import.meta.url));
  const [port] = (await once(sink, "message")) as [number];
  const relays = relaysAt(port);
  const pool = poolAt(port, !values.nagle);
  if (values.only === "A") await relays.run(COUNT, BYTES);
  else if (values.only === "B") await pool.run(COUNT, BYTES);
  else await compare(relays, pool);
  await relays.close();
  await pool.close();
  await sink.terminate();
}

async function compare(relays: Side, pool: Side): Promise<void> {
  // The first round of each opens the connections and compiles the code.
  await relays.run(COUNT, BYTES);
  await pool.run(COUNT, BYTES);
  const ratios: number[] = [];
  console.log("emails/s: relays    pool   ratio");
  for (let pair = 0; pair < Number(values.pairs); pair += 1) {
    const a = await relays.run(COUNT, BYTES);
    const b = await pool.run(COUNT, BYTES);
    ratios.push(a / b);
    console.log(`${a.toFixed(0).padStart(16)}${b.toFixed(0).padStart(8)}${show(a / b)}`);
  }
  ratios.sort((one, other) => one - other);
  const at = (share: number) => ratios[Math.round(share * (ratios.length - 1))] ?? 0;
  console.log(`ratio: median${show(at(0.5))}, from${show(at(0))} to${show(at(1))}`);
}

function show(ratio: number): string {
  return ratio.toFixed(2).padStart(8);
}

/** In the worker: a relay that replies at once to each command, without PIPELINING. */
async function serve(): Promise<void> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  parentPort?.postMessage((server.address() as AddressInfo).port);
}

function answer(socket: Socket): void {
  let rest = "";
  let inBody = false;
  socket.setNoDelay(true).on("error", () => undefined);
  socket.write("220 relay.example ESMTP\r\n");
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    rest += chunk;
    for (;;) {
      const end = rest.indexOf(inBody ? "\r\n.\r\n" : "\r\n");
      if (end < 0) return;
      const line = rest.slice(0, end);
      rest = rest.slice(end + (inBody ? 5 : 2));
      const isData = !inBody && line === "DATA";
      inBody = isData;
      socket.write(isData ? "354 go on\r\n" : "250 2.0.0 ok\r\n");
    }
  });
}
