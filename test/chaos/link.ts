import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { AmqpMeter } from "./amqp-meter.ts";
import type { Confirmed } from "./books.ts";

/** How a slow network treats what passes: each piece waits so long. */
const SLOW_MS = 60;

/** What was in flight over a link's connections. */
export interface InFlight {
  /** Deliveries that the service had not settled. */
  unsettled: number;
  /** Messages that the broker had not confirmed. */
  unconfirmed: number;
}

interface Connection {
  sockets: Socket[];
  meter: AmqpMeter | undefined;
}

/** A TCP proxy between two of the system's parts, with the troubles of a network at the harness's command. */
export class Link {
  readonly name: string;
  /** When connections over it ended, in milliseconds since the epoch. */
  readonly ends: number[] = [];
  readonly confirmed: Confirmed[] = [];
  /** Called with the exchange of each message that the service publishes, before the broker has it. */
  onPublish: (exchange: string) => void = () => undefined;
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #isAmqp: boolean;
  readonly #connections = new Set<Connection>();
  #flowing = Promise.resolve();
  #flow: () => void = () => undefined;
  #slow = false;

  /** `isAmqp`: count what is in flight, and note what is confirmed. */
  constructor(name: string, targetPort: number, isAmqp: boolean) {
    this.name = name;
    this.#targetPort = targetPort;
    this.#isAmqp = isAmqp;
    this.#server = createServer({ noDelay: true }, (socket) => this.#join(socket));
  }

  /** Listens on loopback; resolves to the port. */
  async start(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** What is in flight at this moment, as far as it has come by here. */
  get inFlight(): InFlight {
    const meters = [...this.#connections].flatMap(({ meter }) => meter ?? []);
    return {
      unsettled: meters.reduce((sum, { unsettled }) => sum + unsettled, 0),
      unconfirmed: meters.reduce((sum, { unconfirmed }) => sum + unconfirmed, 0),
    };
  }

  /** Resets every connection. Returns how many. */
  reset(): number {
    const all = [...this.#connections];
    for (const { sockets } of all) for (const socket of sockets) socket.resetAndDestroy();
    return all.length;
  }

  /** Keeps connections open and lets nothing pass, which is what a stalled network looks like. */
  stall(stalling: boolean): void {
    this.#flow();
    const gate = Promise.withResolvers<undefined>();
    this.#flow = () => gate.resolve(undefined);
    this.#flowing = gate.promise.then(() => undefined);
    if (!stalling) this.#flow();
  }

  /** Lets everything pass late. */
  slow(slow: boolean): void {
    this.#slow = slow;
  }

  /** Ends everything that goes over it, and itself. */
  stop(): void {
    this.stall(false);
    this.#server.close();
    this.reset();
  }

  #join(client: Socket): void {
    const upstream = connect({ port: this.#targetPort, host: "127.0.0.1", noDelay: true });
    const meter = this.#isAmqp
      ? new AmqpMeter(this.#note, (exchange) => this.onPublish(exchange))
      : undefined;
    const connection = { sockets: [client, upstream], meter };
    this.#connections.add(connection);
    const end = () => {
      if (this.#connections.delete(connection)) this.ends.push(Date.now());
      for (const socket of connection.sockets) socket.destroy();
    };
    // What was in flight when the broker died shows until the other side is told.
    for (const socket of connection.sockets) socket.on("error", () => undefined).on("close", end);
    void this.#pump(client, upstream, meter?.fromClient);
    void this.#pump(upstream, client, meter?.fromBroker);
  }

  readonly #note = (delivery: string) => {
    this.confirmed.push({ delivery, time: Date.now() });
  };

  async #pump(source: Socket, sink: Socket, meter?: (chunk: Buffer) => void): Promise<void> {
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        meter?.(chunk);
        await this.#flowing;
        if (this.#slow) await sleep(SLOW_MS);
        if (!sink.write(chunk)) await Promise.race([once(sink, "drain"), once(sink, "close")]);
      }
      sink.end();
    } catch {
      // The other side went first.
    }
  }
}
