import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { leashed, type Program } from "./part.ts";

const HOST = "127.0.0.1";
const IMAGE = "rabbitmq:4.3-management";

type Say = (step: string) => void;

/**
 * Finds a RabbitMQ: an installed one, else one that apt installs, as a private node; else a container. It keeps all that it
 * has in `dir` (an absolute path) and listens on a port of 127.0.0.1. @throws {Error} when there is none to be had
 */
export async function findBroker(dir: string, port: number, say: Say): Promise<Program> {
  mkdirSync(dir, { recursive: true });
  const programs = findPrograms() ?? (await installThroughApt(dir, say));
  say(`Starting RabbitMQ ${programs ? "as a private node" : `in Docker (${IMAGE})`}`);
  if (programs) return privateNode(programs, dir, port);
  if (spawnSync("docker", ["info"]).status === 0) return container(dir, port);
  throw new Error("No RabbitMQ: install rabbitmq-server or Docker, or set AMQP_URL.");
}

/** The directory of RabbitMQ's programs. n.b. the wrappers that packages put on the PATH want the system's own node. */
export function findPrograms(): string | undefined {
  const dirs = `/usr/lib/rabbitmq/bin:${process.env["PATH"] ?? ""}:/opt/homebrew/sbin`.split(":");
  return dirs.find((dir) => existsSync(join(dir, "rabbitmq-server")));
}

async function installThroughApt(dir: string, say: Say): Promise<string | undefined> {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return undefined;
  say("Installing rabbitmq-server through apt, about a minute; it starts no system service");
  const log = openSync(join(dir, "apt.log"), "a");
  // Beyond the reach of Ctrl-C: dpkg must not be torn off halfway, nor the policy stay.
  await once(spawn("sh", ["-c", APT], { stdio: ["ignore", log, log], detached: true }), "exit");
  return findPrograms();
}

/** While policy-rc.d answers 101, "not allowed", no package can start a service (invoke-rc.d(8)). */
const APT = `
policy=/usr/sbin/policy-rc.d kept=/usr/sbin/policy-rc.d.kept-by-wellsent
trap 'rm -f $policy; [ ! -e $kept ] || mv $kept $policy' EXIT; trap 'exit 1' HUP INT TERM
[ ! -e $policy ] || grep -qs wellsent $policy || mv $policy $kept
printf '#!/bin/sh\\n# wellsent installs rabbitmq-server\\nexit 101\\n' >$policy && chmod 755 $policy
units=rabbitmq-server.service; command -v epmd || units="$units epmd.service epmd.socket"
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends rabbitmq-server; }
install || { apt-get update && install; } || exit 1
update-rc.d rabbitmq-server disable; SYSTEMD_OFFLINE=1 systemctl disable $units`;

/** A node that shares nothing with the system's: ports, epmd, cookie and every file are its own. */
function privateNode(programs: string, dir: string, port: number): Program {
  const epmdPort = port + 10_000;
  // Read by rabbitmq-server, which by the last line becomes the Erlang VM, and by rabbitmqctl.
  const settings = `
export HOME='${dir}' SYS_PREFIX='${dir}' ERL_EPMD_ADDRESS=${HOST} ERL_EPMD_PORT=${epmdPort}
NODENAME=wellsent@localhost NODE_IP_ADDRESS=${HOST} NODE_PORT=${port} LOGS=-
SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
RUNNING_UNDER_SYSTEMD=true
`;
  const file = join(dir, "rabbitmq-env.conf");
  writeFileSync(file, settings);
  // The epmd that Erlang would start is a daemon, which outlives everything.
  const epmd = leashed(["epmd", "-address", HOST, "-port", String(epmdPort)]).join(" ");
  const both = `cd '${dir}'; ${epmd} & exec ${join(programs, "rabbitmq-server")}`;
  const env = { ...process.env, RABBITMQ_CONF_ENV_FILE: file };
  return { argv: leashed(["sh", "-c", both]), env, log: join(dir, "rabbitmq.log") };
}

/** A container, named by its port. n.b. its client hands signals on to it, but not KILL. */
export function container(dir: string, port: number): Program {
  const data = join(dir, "container");
  mkdirSync(data, { recursive: true });
  const user = `--user=${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`; // May delete the data.
  const places = [`--volume=${data}:/var/lib/rabbitmq`, `--publish=${HOST}:${port}:5672`];
  const name = `wellsent-${port}`;
  const label = `wellsent.directory=${dir}`;
  const named = [`--name=${name}`, `--label=${label}`, "--hostname=wellsent"];
  const run = ["docker", "run", "--rm", ...named, user, ...places];
  // A container of another start may have the same name.
  const found = `docker ps --all --quiet --filter=name=^${name}$ --filter=label=${label}`;
  return {
    argv: leashed([...run, IMAGE], "TERM"),
    log: join(dir, "rabbitmq.log"),
    afterwards: `${found} | xargs -r docker rm --force`,
    isRunning: () => spawnSync("sh", ["-c", found.replace("--all ", "")]).stdout.length > 0,
  };
}
