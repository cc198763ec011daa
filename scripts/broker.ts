import { execFile, spawn, type SpawnOptions } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { connect } from "amqplib";

const run = promisify(execFile);
const LOOPBACK = "127.0.0.1";
const IMAGE = "rabbitmq:4.3-management";
/** A first start takes five seconds on an idle machine. */
const READY_MS = 90_000;

/** Something of ours that runs until it is ended. */
export interface Part {
  pid: number | undefined;
  /** Resolves when it is gone, whoever ended it, to its exit status if it has one. */
  ended: Promise<unknown>;
  kill: (signal: NodeJS.Signals) => unknown;
}

/** A RabbitMQ that answers. `pid` and `kill` mean the Erlang VM; the one AMQP_URL names is left alone. */
export interface Broker extends Part {
  url: string;
  /** Runs rabbitmqctl and resolves to what it printed. */
  ctl: (...args: string[]) => Promise<string>;
}

/** What {@link startBroker} goes by. */
export interface BrokerOptions {
  /** Absolute directory of all that the broker keeps: data, log, cookie. */
  dir: string;
  /** AMQP port on 127.0.0.1; a free one unless given. */
  port?: number;
  /** Asks for a container, whatever is installed or named by AMQP_URL. */
  inDocker?: boolean;
  /** Is told in one line what begins. */
  onStep?: (step: string) => void;
}

/**
 * Starts a RabbitMQ: the one AMQP_URL names, else an installed one as a private node, else one that apt installs,
 * else a container. Resolves once it takes connections.
 * @throws {Error} when there is none to be had, or it does not start
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { dir, inDocker = false, onStep = () => undefined } = options;
  const named = process.env["AMQP_URL"];
  if (named && !inDocker) return leaveAlone(named);
  mkdirSync(dir, { recursive: true });
  const scripts = inDocker ? undefined : (findScripts() ?? (await installThroughApt(dir, onStep)));
  if (!scripts && !(await dockerAnswers())) {
    throw new Error(
      "No RabbitMQ: install rabbitmq-server or Docker, or set AMQP_URL to a broker that runs.",
    );
  }
  onStep(`Starting RabbitMQ ${scripts ? "as a private node" : `in Docker (${IMAGE})`}`);
  const port = options.port ?? (await freePort());
  const url = `amqp://guest:guest@${LOOPBACK}:${port}`;
  const node = await (scripts ? launchNode(scripts, dir, port) : launchContainer(dir, port));
  if (await becomesReady(url, node.ended)) return { ...node, url };
  await end(node);
  throw new Error(`RabbitMQ did not start; ${join(dir, "rabbitmq.log")} says why.`);
}

/** Ends a part in order, after `graceMs` by force. Its data stays; it may be started again from there. */
export async function end({ kill, ended }: Part, graceMs = 6_000): Promise<void> {
  const force = setTimeout(() => kill("SIGKILL"), graceMs);
  await kill("SIGTERM");
  await kill("SIGCONT"); // What is stopped hears nothing before this.
  await ended;
  clearTimeout(force);
}

/** Whether there is a Docker engine to use. */
export async function dockerAnswers(): Promise<boolean> {
  return succeeds(run("docker", ["info"], { timeout: 10_000 }));
}

/** The first free port from `first` on, by default below those that systems lend to outgoing connections. */
export async function freePort(first = 20_000 + randomInt(10_000)): Promise<number> {
  const server = createServer().listen(first, LOOPBACK);
  const free = await succeeds(once(server, "listening"));
  server.close();
  return free ? first : freePort(first + 1);
}

/**
 * Spawns a process in a session of its own, which a terminal's Ctrl-C does not reach, and on a leash: should this
 * process be gone first, however suddenly, then `orphaned` is run, by default to kill that session.
 */
export function spawnLeashed(argv: string[], options: SpawnOptions, orphaned?: string[]) {
  const [command = "", ...args] = argv;
  const child = spawn(command, args, { ...options, detached: true });
  const last = orphaned ?? ["kill", "-s", "KILL", "--", `-${child.pid ?? ""}`];
  // The shell reads a line when the child has ended, the end of the pipe when this process has.
  const waiting = ["-c", 'read -r _ || "$@"', "leash", ...last];
  const leash = spawn("sh", waiting, { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  leash.unref();
  child.once("exit", () => leash.stdin.end("ended\n"));
  return child;
}

/** Sends what a part prints to the end of a file. */
export function logIn(dir: string, name = "rabbitmq.log"): SpawnOptions {
  const log = openSync(join(dir, name), "a");
  return { stdio: ["ignore", log, log] };
}

function leaveAlone(url: string): Broker {
  const { promise: ended, resolve: kill } = Promise.withResolvers();
  const ctl = () => Promise.reject(new Error("AMQP_URL names a broker that is not ours."));
  return { url, pid: undefined, ended, kill, ctl };
}

function findScripts(): string | undefined {
  // Packages keep the plain scripts in the first; their wrappers on the PATH insist on the system's node.
  const dirs = `/usr/lib/rabbitmq/bin:${process.env["PATH"] ?? ""}:/opt/homebrew/sbin`.split(":");
  return dirs.find((dir) => existsSync(join(dir, "rabbitmq-server")));
}

async function installThroughApt(
  dir: string,
  onStep: (step: string) => void,
): Promise<string | undefined> {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return undefined;
  onStep(
    "Installing rabbitmq-server through apt, about a minute; no system service is started by it",
  );
  // Not on a leash: dpkg must not be torn off halfway, nor the policy stay.
  const apt = spawn("sh", ["-c", APT], { ...logIn(dir, "apt.log"), detached: true });
  await once(apt, "exit");
  return findScripts();
}

/** While policy-rc.d answers 101, "not allowed", no package can start a service (invoke-rc.d(8)). */
const APT = `
policy=/usr/sbin/policy-rc.d kept=/usr/sbin/policy-rc.d.kept-by-posthorn
restore() { if [ -e $kept ]; then mv -f $kept $policy; else rm -f $policy; fi; }
trap restore EXIT; trap 'exit 1' HUP INT TERM
[ ! -e $policy ] || grep -qs posthorn $policy || mv $policy $kept
printf '#!/bin/sh\\n# posthorn installs rabbitmq-server\\nexit 101\\n' >$policy && chmod 755 $policy
units=rabbitmq-server.service; command -v epmd || units="$units epmd.service epmd.socket"
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends rabbitmq-server; }
install || { apt-get update && install; } || exit 1
update-rc.d rabbitmq-server disable; SYSTEMD_OFFLINE=1 systemctl disable $units`;

type Launched = Omit<Broker, "url">;

/** A node that shares nothing with the system's: ports, epmd, cookie and every file are its own. */
async function launchNode(scripts: string, dir: string, port: number): Promise<Launched> {
  const distPort = await freePort(port + 1);
  const onLoopback = "-kernel inet_dist_use_interface {127,0,0,1}";
  const env = {
    ...process.env,
    HOME: dir,
    ERL_EPMD_ADDRESS: LOOPBACK,
    ERL_EPMD_PORT: String(await freePort(distPort + 1)),
    ERL_EPMD_RELAXED_COMMAND_CHECK: "1", // Else epmd refuses to end until it has seen the node go.
    RABBITMQ_NODENAME: "posthorn@localhost",
    RABBITMQ_NODE_IP_ADDRESS: LOOPBACK,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_CONF_ENV_FILE: join(dir, "rabbitmq-env.conf"),
    RABBITMQ_LOGS: "-",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: onLoopback,
    RABBITMQ_CTL_ERL_ARGS: onLoopback,
    RUNNING_UNDER_SYSTEMD: "true", // The script becomes the Erlang VM instead of its parent.
  };
  // The prefix of /etc, /var/lib and /var/log, which the scripts accept from this file only.
  writeFileSync(env.RABBITMQ_CONF_ENV_FILE, `SYS_PREFIX='${dir}'\n`);
  const cookie = join(dir, ".erlang.cookie");
  if (!existsSync(cookie)) writeFileSync(cookie, randomBytes(24).toString("hex"), { mode: 0o400 });
  // In the foreground; the one that Erlang would start is a daemon that outlives everything.
  const epmd = spawnLeashed(["epmd"], { env, stdio: "ignore" });
  const epmdEnded = succeeds(once(epmd, "exit"));
  const script = (name: string) => join(scripts, name);
  const node = spawnLeashed([script("rabbitmq-server")], { ...logIn(dir), cwd: dir, env });
  const endEpmd = () => succeeds(run("epmd", ["-kill"], { env })).then(() => epmdEnded);
  return {
    pid: node.pid,
    ended: succeeds(once(node, "exit")).then(endEpmd),
    kill: (signal) => node.kill(signal),
    ctl: async (...args) => (await run(script("rabbitmqctl"), ["-q", ...args], { env })).stdout,
  };
}

async function launchContainer(dir: string, port: number): Promise<Launched> {
  const docker = async (...args: string[]) => (await run("docker", args)).stdout.trim();
  const data = join(dir, "container");
  mkdirSync(data, { recursive: true });
  const user = `--user=${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`; // May delete the data.
  const places = [`--volume=${data}:/var/lib/rabbitmq`, `--publish=${LOOPBACK}:${port}:5672`];
  const id = await docker("run", "--detach", "--rm", "--hostname=posthorn", user, ...places, IMAGE);
  const remove = ["docker", "rm", "--force", id];
  const logs = spawnLeashed(["docker", "logs", "--follow", id], logIn(dir), remove);
  return {
    pid: Number(await docker("inspect", "--format={{.State.Pid}}", id)),
    ended: once(logs, "exit"),
    kill: (signal) => succeeds(docker("kill", `--signal=${signal}`, id)),
    ctl: (...args) => docker("exec", id, "rabbitmqctl", "-q", ...args),
  };
}

async function becomesReady(url: string, ended: Promise<unknown>): Promise<boolean> {
  const gone = ended.then(() => true);
  const deadline = Date.now() + READY_MS;
  while (!(await succeeds(connect(url, { timeout: 1_000 }).then((link) => link.close())))) {
    if (Date.now() > deadline || (await Promise.race([gone, sleep(100, false)]))) return false;
  }
  return true;
}

function succeeds(attempt: Promise<unknown>): Promise<boolean> {
  return attempt.then(() => true).catch(() => false);
}
