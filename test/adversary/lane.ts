import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { probe, waitFor, type Probe } from "@wellsent/testing";
import { startProxy, type Proxy } from "../../packages/amqp/test/proxy.ts";
import type { Confirmed, Death, Line } from "../chaos/books.ts";
import { Link } from "../chaos/link.ts";
import { Service } from "../chaos/service.ts";
import { freePort, type Broker } from "../support/broker-process.ts";
import type { AuditLine } from "../support/system.ts";
import { AdversaryRelay } from "./relay.ts";

/** Short, so that an episode takes seconds. */
const LADDER = "1s,2s";
const QUEUES = ["emailer", "logger", "logger.held", "emailer.wait.1s", "emailer.wait.2s"];
const ATTEMPTS = ["emailer.attempt.1", "emailer.attempt.2"];
const READY_MS = 120_000;

/** What a lane consists of. */
export interface LaneOptions {
  broker: Broker;
  /** The directory with `services` and `packages`. */
  root: string;
  /** A directory for logs and the audit log; it is made. */
  directory: string;
  /** Its name, which is also its virtual host's. */
  name: string;
  emailers: number;
}

/** An emailer or the logger, and its connections to the broker. */
export interface Member {
  service: Service;
  link: Link;
}

/** One whole system, in which one episode follows another: an API, some emailers, a logger, a relay, and proxies. */
export class Lane {
  readonly relay = new AdversaryRelay();
  readonly emailers: Member[] = [];
  /** In front of the broker for the API, whose confirms can be held back. */
  apiProxy!: Proxy;
  logger!: Member;
  api = "";
  readonly #options: LaneOptions;
  readonly #kills: Death[] = [];
  #apiService!: Service;
  #probe!: Probe;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Starts everything; resolves when all services are ready. */
  async start(): Promise<void> {
    const { broker, name, directory, emailers } = this.#options;
    mkdirSync(join(directory, "audit"), { recursive: true });
    await broker.ctl("add_vhost", name);
    await broker.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*");
    const url = `${broker.url}/${name}`;
    const relayPort = await this.relay.start();
    const httpPort = String(await freePort());
    this.api = `http://127.0.0.1:${httpPort}`;
    this.apiProxy = await startProxy(url);
    const http = { HTTP_HOST: "127.0.0.1", HTTP_PORT: httpPort, API_ANONYMOUS: "true" };
    this.#apiService = await this.#start("api", { AMQP_URL: this.apiProxy.url, ...http });
    this.logger = await this.#startMember("logger", { AUDIT_DIR: join(directory, "audit") });
    for (let number = 1; number <= emailers; number += 1) {
      const member = await this.#startMember(`emailer-${number}`, {
        SMTP_URLS: `smtp://127.0.0.1:${relayPort}?connections=8`,
        MAIL_FROM: "Wellsent <post@horn.example>",
        EHLO_NAME: `emailer-${number}.example`,
        PREFETCH: "50",
        RETRY_LADDER: LADDER,
      });
      this.emailers.push(member);
    }
    for (const admin of this.#admins) {
      await waitFor(`${admin} is ready`, async () => (await fetch(`${admin}/readyz`)).ok, READY_MS);
    }
    this.#probe = await probe(url);
  }

  readonly #admins: string[] = [];

  /** Kills a member and starts it again after a while. */
  async kill({ service }: Member, awayMs: number): Promise<void> {
    this.#kills.push({ emailer: service.name, killed: true, time: Date.now() });
    await service.kill();
    await sleep(awayMs);
    service.start();
  }

  deaths(): Death[] {
    const cut = this.emailers.flatMap(({ service, link }) =>
      link.ends.map((time) => ({ emailer: service.name, killed: false, time })),
    );
    return [...this.#kills, ...cut];
  }

  confirmed(): Confirmed[] {
    return this.emailers.flatMap(({ link }) => link.confirmed);
  }

  lines(): Line[] {
    const directory = join(this.#options.directory, "audit");
    const names = readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
    const texts = names.flatMap((name) => readFileSync(join(directory, name), "utf8").split("\n"));
    // The last text is empty, or a line that is being written.
    return texts.filter((text) => text.endsWith("}")).map(toLine);
  }

  /** Returns whether no message waits anywhere and none is in flight. */
  async isIdle(): Promise<boolean> {
    for (const queue of [...QUEUES, ...ATTEMPTS]) {
      if ((await this.#probe.depth(queue)) > 0) return false;
    }
    const links = [...this.emailers, this.logger].map(({ link }) => link.inFlight);
    return links.every(({ unsettled, unconfirmed }) => unsettled + unconfirmed === 0);
  }

  /** The errors that nobody foresaw, by service. */
  uncaught(): string[] {
    const services = [...this.emailers, this.logger].map(({ service }) => service);
    return [...services, this.#apiService].flatMap((service) => [
      ...service.uncaught().map((line) => `${service.name}: ${line.slice(0, 300)}`),
      ...(service.endedByItself > 0 ? [`${service.name} ended by itself`] : []),
    ]);
  }

  async stop(): Promise<void> {
    const members = [...this.emailers, this.logger];
    await Promise.all([this.#apiService, ...members.map(({ service }) => service)].map(killNow));
    for (const { link } of members) link.stop();
    await this.#probe.close();
    await this.apiProxy.close();
    this.relay.stop();
  }

  async #startMember(name: string, env: Record<string, string>): Promise<Member> {
    const { broker, name: vhost } = this.#options;
    const link = new Link(name, Number(new URL(broker.url).port), true);
    const url = `amqp://guest:guest@127.0.0.1:${await link.start()}/${vhost}`;
    return { link, service: await this.#start(name, { AMQP_URL: url, ...env }) };
  }

  async #start(name: string, env: Record<string, string>): Promise<Service> {
    const { root, directory } = this.#options;
    const admin = String(await freePort());
    const common = { METRICS_HOST: "127.0.0.1", METRICS_PORT: admin, LOG_FORMAT: "json" };
    const options = { root, env: { ...common, ...env }, logs: directory, enter: [] };
    const service = new Service(name, options);
    this.#admins.push(`http://127.0.0.1:${admin}`);
    service.start();
    return service;
  }
}

function killNow(service: Service): Promise<void> {
  return service.kill();
}

function toLine(text: string): Line {
  const { kind, delivery, time, possibleDuplicate } = JSON.parse(text) as AuditLine;
  return { kind, delivery, time: Date.parse(time), possibleDuplicate };
}
