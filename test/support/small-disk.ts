import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
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
  /** Whether what is opened from now on can be written; what is open already can. */
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
    // Two faults may fill it at once; the first to end gives it back.
    free: () => rmSync(ballast, { force: true }),
    readOnly: (readOnly) => {
      if (readOnly) coverReadOnly(directory);
      else run("umount", directory);
    },
    // What still has a file open there does not keep it.
    remove: () => void run("umount", "--lazy", directory),
  };
}

/** n.b. a file system with files open for writing cannot be made read-only, but a second mount of it over the first can. */
function coverReadOnly(directory: string): boolean {
  return (
    run("mount", "--bind", directory, directory) && run("mount", "-o", "remount,bind,ro", directory)
  );
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

/** Nearly all at once, and the rest in smaller and smaller pieces, until not a byte goes in. */
function fill(directory: string, ballast: string): void {
  const { bavail, bsize } = statfsSync(directory);
  run("fallocate", "--length", String(Math.max(1, bavail * bsize - MEGABYTE)), ballast);
  const file = openSync(ballast, "a");
  for (let piece = MEGABYTE; piece >= 1; piece = Math.floor(piece / 16)) fillBy(piece, file);
  closeSync(file);
}

function fillBy(piece: number, file: number): void {
  const bytes = Buffer.alloc(piece);
  try {
    while (writeSync(file, bytes) > 0);
  } catch {
    // Full for pieces of this size.
  }
}

function run(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
