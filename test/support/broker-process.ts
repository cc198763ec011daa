import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { connect } from "amqplib";
import { container, findBroker, findPrograms } from "../../scripts/broker.ts";
import { endPart, startPart } from "../../scripts/part.ts";

const run = promisify(execFile);
const READY_MS = 90_000;
const GRACE_MS = 6_000;

/** A RabbitMQ of the tests' own, which answers. */
export interface Broker {
  url: string;
  kill: (signal: NodeJS.Signals) => unknown;
  /** Resolves when it is gone, whoever ended it. */
  ended: Promise<unknown>;
  /** Runs rabbitmqctl and resolves to what it printed. */
  ctl: (...args: string[]) => Promise<string>;
  /** Ends it in order, in time by force. Its data stays; another may be started from there. */
  end: () => Promise<void>;
}

/** Options of {@link startBroker}: an absolute directory, a port on 127.0.0.1, and whether it must be RabbitMQ 4.3. */
export interface BrokerOptions {
  dir: string;
  port?: number;
  inDocker?: boolean;
}

/** Starts a broker as `npm start` does, or in Docker. @throws {Error} when it does not answer in time */
export async function startBroker({ dir, port, inDocker = false }: BrokerOptions): Promise<Broker> {
  const at = port ?? (await freePort());
  mkdirSync(dir, { recursive: true });
  const program = inDocker ? container(dir, at) : await findBroker(dir, at, () => undefined);
  const part = startPart(program);
  const ended = once(part, "exit");
  const url = `amqp://guest:guest@127.0.0.1:${at}`;
  const docker = async (...args: string[]) => (await run("docker", args)).stdout;
  const name = `wellsent-${at}`;
  const rabbitmqctl = join(findPrograms() ?? "", "rabbitmqctl");
  const { env } = program;
  const broker: Broker = {
    url,
    ended,
    end: () => endPart(part, GRACE_MS),
    ...(inDocker
      ? {
          kill: (signal) => docker("kill", `--signal=${signal}`, name),
          ctl: (...args) => docker("exec", name, "rabbitmqctl", "-q", ...args),
        }
      : {
          kill: (signal) => part.kill(signal),
          ctl: async (...args) => (await run(rabbitmqctl, ["-q", ...args], { env })).stdout,
        }),
  };
  if (await answers(url, ended)) return broker;
  await broker.end();
  throw new Error(`RabbitMQ did not start; ${program.log ?? dir} says why.`);
}

/** A free port. n.b. 10,000 and 20,000 above a broker's, its nodes talk: still below those of outgoing connections. */
export async function freePort(first = 10_000 + randomInt(1_900)): Promise<number> {
  const server = createServer().listen(first, "127.0.0.1");
  const free = await succeeds(once(server, "listening"));
  server.close();
  return free ? first : freePort(first + 1);
}

async function answers(url: string, ended: Promise<unknown>): Promise<boolean> {
  const deadline = Date.now() + READY_MS;
  while (!(await succeeds(connect(url, { timeout: 1_000 }).then((link) => link.close())))) {
    const gone = await Promise.race([ended.then(() => true), sleep(100, false)]);
    if (gone || Date.now() > deadline) return false;
  }
  return true;
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(() => true).catch(() => false);
}
