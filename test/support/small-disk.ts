import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { leashed } from "../../scripts/part.ts";

const MEGABYTE = 2 ** 20;
const BALLAST = "ballast";

/**
 * Mounts ext4 from a file, or tmpfs where the machine has no loop devices, and a read-only view of it. That view exists
 * before any process writes: a mount with a file open for writing can not be made read-only.
 */
const MOUNT = `set -e
cd "$1"; mkdir disk readonly
if [ -e /dev/loop-control ] && command -v mkfs.ext4 >/dev/null; then
  truncate --size "$2"M image
  mkfs.ext4 -q -m 0 image
  mount -o loop image disk
  rm image
else
  mount -t tmpfs -o size="$2"m tmpfs disk
fi
mount --bind disk readonly
mount -o remount,bind,ro readonly
echo mounted
exec cat`;

/**
 * A file system that is small enough to be filled. It is mounted in a mount namespace of its own, so that the kernel
 * unmounts it when the last process there ends, whatever ends the test.
 */
export interface SmallDisk {
  /** The path for programs that are started through `enter`. */
  directory: string;
  /** The path of the same directory for every other program, such as the test. */
  view: string;
  /** A command that runs the command after it inside the mount namespace. */
  enter: readonly string[];
  /** Takes all free space. */
  fill(): void;
  /** Frees the space that `fill` took. */
  free(): void;
  /** Makes the disk read-only for files that are opened from now on, or writable again. */
  readOnly(readOnly: boolean): void;
  /** Ends the namespace. Programs inside it must have ended. */
  remove(): Promise<void>;
}

/** Returns why this process cannot mount a disk, or undefined if it can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== "linux") return "only Linux has mount namespaces";
  if (process.getuid?.() !== 0) return "only root may mount one";
  const { status, stderr } = spawnSync("unshare", ["--mount", "true"], { encoding: "utf8" });
  return status === 0 ? undefined : `unshare --mount failed: ${stderr.trim()}`;
}

/** Mounts a disk of this size. @throws {Error} with the output of the command that failed */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk> {
  const base = mkdtempSync(join(tmpdir(), "wellsent-disk-"));
  const guardian = await startGuardian(base, megabytes).catch((error: unknown) => {
    rmSync(base, { recursive: true });
    throw error;
  });
  const enter = ["nsenter", `--mount=/proc/${guardian.pid}/ns/mnt`, `--wd=${process.cwd()}`, "--"];
  const directory = join(base, "disk");
  const view = `/proc/${guardian.pid}/root${directory}`;
  const ballast = join(view, BALLAST);
  const [command = "", ...options] = enter;
  const inside = (...args: string[]) => execFileSync(command, [...options, ...args]);
  return {
    directory,
    view,
    enter,
    fill: () => fill(view, ballast),
    free: () => rmSync(ballast, { force: true }),
    readOnly: (readOnly) => {
      if (readOnly) inside("mount", "--bind", join(base, "readonly"), directory);
      // A reader may have a file open, which does not keep other files from being writable again.
      else inside("umount", "--lazy", directory);
    },
    remove: async () => {
      const ended = once(guardian, "exit");
      guardian.kill("SIGKILL");
      await ended;
      rmSync(base, { recursive: true });
    },
  };
}

/** Starts the process that keeps the namespace: it ends with this process at the latest. */
async function startGuardian(base: string, megabytes: number): Promise<ChildProcess> {
  const mounting = ["unshare", "--mount", "--", "sh", "-c", MOUNT, "sh", base, String(megabytes)];
  const [command = "", ...args] = leashed(mounting);
  const guardian = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  const mounted = once(guardian.stdout, "data").then(() => true);
  const printed = text(guardian.stderr);
  const failed = once(guardian, "exit").then(() => false);
  if (await Promise.race([mounted, failed])) return guardian;
  throw new Error(`no small disk: ${(await printed).trim()}`);
}

/** Takes nearly all space at once, and the rest in smaller and smaller pieces, until a single byte is refused. */
function fill(directory: string, ballast: string): void {
  const { bavail, bsize } = statfsSync(directory);
  const bytes = Math.max(1, bavail * bsize - MEGABYTE);
  // A file system that cannot allocate so much at once is filled by the writes below.
  spawnSync("fallocate", ["--length", String(bytes), ballast]);
  const file = openSync(ballast, "a");
  for (let piece = MEGABYTE; piece >= 1; piece = Math.floor(piece / 16)) fillBy(piece, file);
  closeSync(file);
}

function fillBy(piece: number, file: number): void {
  const bytes = Buffer.alloc(piece);
  try {
    while (writeSync(file, bytes) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}
