import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "amqplib";
import { freePort, startBroker, type Broker } from "../support/broker-process.ts";
import { type Random, waitFor } from "@wellsent/testing";
import type { SmallDisk } from "../support/small-disk.ts";
import type { AuditLine } from "../support/system.ts";
import type { Confirmed, Death, Line } from "./books.ts";
import { Link } from "./link.ts";
import { ChaosRelay } from "./relay.ts";
import { Service } from "./service.ts";

const FIRST_PASSWORD = "the-first-password";
const RELAY_LINK = "emailers-relay";
/** In seconds; the first rung is also what a sabotage publishes to. */
const LADDER = "2s,5s,10s";
const MAX_ATTEMPTS = 6;

/** The names of the processes that are killed and frozen. */
export const PROCESSES = ["api", "emailer-1", "emailer-2", "logger", "broker"] as const;
/** One of {@link PROCESSES}. */
export type ProcessName = (typeof PROCESSES)[number];
type ServiceName = Exclude<ProcessName, "broker">;

/** Two, so that the broker hands what one of them had to the other. */
export const EMAILERS = ["emailer-1", "emailer-2"] as const;

/** Where the system runs, and from which sources. */
export interface Places {
  /** A directory of the run's own. */
  directory: string;
  /** Where `services` and `packages` are. */
  root: string;
  /** The audit log's disk; undefined where none can be mounted. */
  disk: SmallDisk | undefined;
}

/** The real system: broker and services as processes, with the harness's proxies, relay and disk around them. */
export class ChaosSystem {
  readonly relay: ChaosRelay;
  /** By what they connect: a service and the broker, or the emailer and the relay. */
  readonly links = new Map<string, Link>();
  readonly services = new Map<ServiceName, Service>();
  readonly disk: SmallDisk | undefined;
  readonly #kills: { name: ProcessName; time: number }[] = [];
  api = "";
  readonly #places: Places;
  readonly #audit: string;
  readonly #passwordFile: string;
  #port = 0;
  #broker: Broker | undefined;
  #admins: string[] = [];

  constructor(places: Places, random: Random) {
    this.#places = places;
    this.disk = places.disk;
    this.#audit = places.disk?.view ?? join(places.directory, "audit");
    this.#passwordFile = join(places.directory, "password");
    this.relay = new ChaosRelay(FIRST_PASSWORD, random);
  }

  /** Starts everything; resolves when every service is ready. */
  async start(): Promise<void> {
    if (!this.disk) mkdirSync(this.#audit);
    writeFileSync(this.#passwordFile, FIRST_PASSWORD);
    this.#port = await freePort();
    await this.startBroker();
    const relayPort = await this.#link(RELAY_LINK, await this.relay.start(), false);
    const relayUrl = `smtp://chaos@127.0.0.1:${relayPort}?passwordFile=${this.#passwordFile}&connections=40`;
    const httpPort = String(await freePort());
    this.api = `http://127.0.0.1:${httpPort}`;
    await this.#startService("api", {
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: httpPort,
      API_ANONYMOUS: "true",
    });
    for (const name of EMAILERS) {
      await this.#startService(name, {
        SMTP_URLS: relayUrl,
        MAIL_FROM: "Wellsent <post@horn.example>",
        EHLO_NAME: `${name}.example`,
        PREFETCH: "200",
        RETRY_LADDER: LADDER,
        MAX_ATTEMPTS: String(MAX_ATTEMPTS),
      });
    }
    await this.#startService("logger", { AUDIT_DIR: this.disk?.directory ?? this.#audit });
    for (const admin of this.#admins) {
      await waitFor(`${admin} is ready`, async () => (await fetch(`${admin}/readyz`)).ok, 60_000);
    }
  }

  /** Starts the broker where it was, on the data that it left. */
  async startBroker(): Promise<void> {
    const dir = join(this.#places.directory, "rabbitmq");
    this.#broker = await startBroker({ dir, port: this.#port });
  }

  async kill(name: ProcessName): Promise<void> {
    this.#kills.push({ name, time: Date.now() });
    if (name !== "broker") return this.services.get(name)?.kill();
    await this.#broker?.kill("SIGKILL");
    await this.#broker?.ended;
  }

  async restart(name: ProcessName): Promise<void> {
    if (name === "broker") await this.startBroker();
    else this.services.get(name)?.start();
  }

  async signal(name: ProcessName, signal: "SIGSTOP" | "SIGCONT"): Promise<void> {
    if (name === "broker") await this.#broker?.kill(signal);
    else this.services.get(name)?.signal(signal);
  }

  /** The emailers' kills, and the ends of their connections to the broker. */
  deaths(): Death[] {
    return EMAILERS.flatMap((emailer) => {
      const kills = this.#kills.filter(({ name }) => name === emailer);
      return [
        ...kills.map(({ time }) => ({ emailer, killed: true, time })),
        ...this.link(`${emailer}-broker`).ends.map((time) => ({ emailer, killed: false, time })),
      ];
    });
  }

  /** The outcomes `sent` that the broker confirmed. */
  confirmed(): Confirmed[] {
    return EMAILERS.flatMap((emailer) => this.link(`${emailer}-broker`).confirmed);
  }

  link(name: string): Link {
    const link = this.links.get(name);
    if (!link) throw new Error(`there is no link ${name}`);
    return link;
  }

  /** The relay has a new password, and the emailer does not know it. */
  changePassword(password: string): void {
    this.relay.changePassword(password);
  }

  /** The operator writes it into the file. */
  tellPassword(password: string): void {
    writeFileSync(this.#passwordFile, password);
  }

  /** Bytes of the audit log: more of them mean that the logger records. */
  auditBytes(): number {
    const sizes = this.#auditFiles().map((file) => statSync(file, { throwIfNoEntry: false })?.size);
    return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  }

  /** The audit log, as far as the books need it. */
  auditLines(): Line[] {
    const texts = this.#auditFiles().flatMap((file) => readFileSync(file, "utf8").split("\n"));
    return texts.filter((text) => text !== "").map(toLine);
  }

  /** Messages in the queues of the system, and how many of them are parked. */
  async waiting(): Promise<number> {
    const model = await connect(this.#brokerUrl, { timeout: 5_000 });
    model.on("error", () => undefined);
    const channel = await model.createChannel();
    const names = ["emailer", "logger", "logger.held"];
    for (const [rung, time] of LADDER.split(",").entries()) {
      names.push(`emailer.attempt.${rung + 1}`, `emailer.wait.${time}`);
    }
    let count = 0;
    for (const name of names) count += (await channel.checkQueue(name)).messageCount;
    await model.close();
    return count;
  }

  /** The delivery ids of the messages that rest in the queue of the parked. */
  async parked(): Promise<string[]> {
    const model = await connect(this.#brokerUrl, { timeout: 5_000 });
    const channel = await model.createChannel();
    const ids: string[] = [];
    for (;;) {
      const message = await channel.get("emailer.parked");
      if (!message) break;
      ids.push(String(message.properties.messageId));
    }
    await model.close();
    return ids;
  }

  /** Errors that nobody foresaw: what the services printed, and processes that ended by themselves. */
  uncaught(): string[] {
    return [...this.services.values()].flatMap((service) => [
      ...service.uncaught().map((line) => `${service.name}: ${line.slice(0, 500)}`),
      ...Array.from({ length: service.endedByItself }, () => `${service.name} ended by itself`),
    ]);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.services.values()].map((service) => service.kill("SIGKILL")));
    for (const link of this.links.values()) link.stop();
    this.relay.stop();
    await this.#broker?.end();
    await this.disk?.remove();
  }

  async #startService(name: ServiceName, own: Record<string, string>): Promise<void> {
    const brokerPort = await this.#link(`${name}-broker`, this.#port, true);
    const admin = String(await freePort());
    const env = {
      AMQP_URL: `amqp://guest:guest@127.0.0.1:${brokerPort}`,
      METRICS_HOST: "127.0.0.1",
      METRICS_PORT: admin,
      LOG_FORMAT: "json",
      ...own,
    };
    const { root, directory } = this.#places;
    const enter = name === "logger" ? (this.disk?.enter ?? []) : [];
    const service = new Service(name, { root, env, logs: directory, enter });
    this.services.set(name, service);
    this.#admins.push(`http://127.0.0.1:${admin}`);
    service.start();
  }

  async #link(name: string, port: number, isAmqp: boolean): Promise<number> {
    const link = new Link(name, port, isAmqp);
    this.links.set(name, link);
    return link.start();
  }

  get #brokerUrl(): string {
    return `amqp://guest:guest@127.0.0.1:${this.#port}`;
  }

  #auditFiles(): string[] {
    const names = readdirSync(this.#audit).filter((name) => name.endsWith(".jsonl"));
    return names.sort().map((name) => join(this.#audit, name));
  }
}

function toLine(text: string): Line {
  const { kind, delivery, time, possibleDuplicate } = JSON.parse(text) as AuditLine;
  return { kind, delivery, time: Date.parse(time), possibleDuplicate };
}
