import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const MEGABYTE = 2 ** 20;
const BALLAST = "ballast";

/** A file system of its own, small enough to be filled. */
export interface SmallDisk {
  directory: string;
  /** Takes all the room there is. */
  fill(): void;
  /** Gives it back. */
  free(): void;
  readOnly(readOnly: boolean): void;
  remove(): void;
}

/**
 * Mounts a file system of so many megabytes in a directory that it makes: ext4 in a file, else a tmpfs. Undefined where
 * that is not allowed, as to anyone but root.
 */
export function mountSmallDisk(directory: string, megabytes: number): SmallDisk | undefined {
  mkdirSync(directory, { recursive: true });
  if (!mountLoop(directory, megabytes) && !mountTmpfs(directory, megabytes)) return undefined;
  const ballast = join(directory, BALLAST);
  return {
    directory,
    fill: () => fill(directory, ballast),
    free: () => unlinkSync(ballast),
    readOnly: (readOnly) =>
      void execFileSync("mount", ["-o", `remount,${readOnly ? "ro" : "rw"}`, directory]),
    // What still has a file open there does not keep it.
    remove: () => void run("umount", "--lazy", directory),
  };
}

function mountLoop(directory: string, megabytes: number): boolean {
  const image = `${directory}.img`;
  closeSync(openSync(image, "w"));
  truncateSync(image, megabytes * MEGABYTE);
  const made = run("mkfs.ext4", "-q", "-m", "0", image);
  const mounted = made && run("mount", "-o", "loop", image, directory);
  // The mount keeps what has no name any more.
  unlinkSync(image);
  return mounted;
}

function mountTmpfs(directory: string, megabytes: number): boolean {
  return run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", directory);
}

/** Big pieces first, then smaller ones, until not a byte goes in. */
function fill(directory: string, ballast: string): void {
  const file = openSync(ballast, "a");
  for (let piece = 16 * MEGABYTE; piece >= 1; piece = Math.floor(piece / 16)) {
    const bytes = Buffer.alloc(piece);
    try {
      while (statfsSync(directory).bavail >= 0) writeSync(file, bytes);
    } catch {
      // Full for pieces of this size.
    }
  }
  closeSync(file);
}

function run(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
