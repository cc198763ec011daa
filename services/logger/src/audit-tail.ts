import { open, type FileHandle } from "node:fs/promises";

const NEWLINE = 0x0a;
/** Many times what one write can leave torn, enough for the events that are remembered, and a bound. */
const TAIL_BYTES = 32 * 1_024 * 1_024;

/**
 * Cuts off what a kill or a power cut left: bytes after the last line break, and a last line that is not JSON.
 * None of it was acknowledged, so the broker hands it over again.
 */
export async function repairTail(path: string): Promise<{ size: number; cut: number }> {
  await using handle = await open(path, "r+");
  const { size, tail } = await readTail(handle);
  const end = tail.lastIndexOf(NEWLINE) + 1;
  const begin = tail.subarray(0, Math.max(0, end - 1)).lastIndexOf(NEWLINE) + 1;
  const sound = parse(tail.toString("utf8", begin, end)) ? end : begin;
  const cut = tail.length - sound;
  if (cut > 0) {
    await handle.truncate(size - cut);
    await handle.datasync();
  }
  return { size: size - cut, cut };
}

/** The ids of the newest events in files that are given oldest first; in their order, at most `limit`. */
export async function newestEvents(paths: readonly string[], limit: number): Promise<string[]> {
  let events: string[] = [];
  for (const path of paths.toReversed()) {
    if (events.length >= limit) break;
    await using handle = await open(path, "r");
    const { tail } = await readTail(handle);
    const lines = tail.toString().split("\n");
    events = [...lines.flatMap((line) => parse(line)?.eventId ?? []), ...events];
  }
  return events.slice(-limit);
}

async function readTail(handle: FileHandle): Promise<{ size: number; tail: Buffer }> {
  const { size } = await handle.stat();
  const length = Math.min(size, TAIL_BYTES);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
  return { size, tail: buffer.subarray(0, bytesRead) };
}

function parse(line: string): { eventId?: string } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
