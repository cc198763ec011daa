import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import getPort from "get-port";

export const HOST = "127.0.0.1";
/** The state LISTEN in /proc/net/tcp. */
const LISTEN = "0A";

/** Resolves to the first number from `port` on for which the ports at all offsets are free, now. */
export async function firstFree(port: number, offsets: readonly number[] = [0]): Promise<number> {
  for (let first = port; ; first += 1) {
    if (await areFree(offsets.map((offset) => first + offset))) return first;
  }
}

/** Resolves to whether nobody listens on any of the ports. */
export async function areFree(ports: readonly number[]): Promise<boolean> {
  const free = await Promise.all(ports.map((port) => getPort({ host: HOST, port })));
  return free.every((port, index) => port === ports[index]);
}

/**
 * Returns whether a process of this process group listens on the port. Another program may have bound it after it was
 * chosen, and answers in the place of ours. Only Linux tells; elsewhere the result is true.
 */
export function isOwn(port: number, group: number): boolean {
  if (process.platform !== "linux") return true;
  const sockets = socketsListeningOn(port);
  return membersOf(group).some((pid) => socketsOf(pid).some((socket) => sockets.has(socket)));
}

/** The inodes of the sockets that listen on a port. */
function socketsListeningOn(port: number): Set<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = ["tcp", "tcp6"].flatMap((name) => read(`/proc/net/${name}`).split("\n"));
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const listening = fields.filter(([, local = "", , state]) => {
    return local.endsWith(suffix) && state === LISTEN;
  });
  return new Set(listening.map((each) => `socket:[${each[9] ?? ""}]`));
}

function membersOf(group: number): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  // The group is the third field after the program's name in parentheses, which may hold blanks.
  return pids.filter((pid) => {
    const [, , , id] = read(`/proc/${pid}/stat`).replace(/^.*\)/, ")").split(" ");
    return Number(id) === group;
  });
}

function socketsOf(pid: string): string[] {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).map((name) => readlinkSync(join(directory, name)));
  } catch {
    return []; // The process has ended, or a file was closed.
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // The process has ended.
  }
}
