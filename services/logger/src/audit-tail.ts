import type { FileHandle } from "node:fs/promises";
import type { Open } from "./audit-file.ts";

const NEWLINE = 0x0a;
const CHUNK_BYTES = 64 * 1_024;
/** Enough for the events that are remembered, and a bound on what a start reads of one file. */
const TAIL_BYTES = 32 * 1_024 * 1_024;

/**
 * Cuts off what a kill or a power cut left: bytes after the last line break, and a last line that is not JSON.
 * None of it was acknowledged, so the broker hands it over again.
 */
export async function repairTail(path: string, open: Open): Promise<{ size: number; cut: number }> {
  const handle = await open(path, "r+");
  try {
    const { size } = await handle.stat();
    const sound = await soundSize(handle, size);
    if (sound < size) {
      await handle.truncate(sound);
      await handle.datasync();
    }
    return { size: sound, cut: size - sound };
  } finally {
    await handle.close();
  }
}

/** The ids of the newest events in files that are given oldest first; in their order, at most `limit`. */
export async function newestEvents(
  paths: readonly string[],
  limit: number,
  open: Open,
): Promise<string[]> {
  let events: string[] = [];
  for (const path of paths.toReversed()) {
    if (events.length >= limit) break;
    events = [...(await eventsOf(path, open)), ...events];
  }
  return events.slice(-limit);
}

async function soundSize(handle: FileHandle, size: number): Promise<number> {
  const end = (await lastNewline(handle, size)) + 1;
  const begin = (await lastNewline(handle, end - 1)) + 1;
  const line = await read(handle, begin, end);
  return parse(line.toString()) === undefined ? begin : end;
}

/** The place of the last line break before `end`, or -1. */
async function lastNewline(handle: FileHandle, end: number): Promise<number> {
  for (let to = end; to > 0; to -= CHUNK_BYTES) {
    const from = Math.max(0, to - CHUNK_BYTES);
    const found = (await read(handle, from, to)).lastIndexOf(NEWLINE);
    if (found >= 0) return from + found;
  }
  return -1;
}

async function eventsOf(path: string, open: Open): Promise<string[]> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const tail = await read(handle, Math.max(0, size - TAIL_BYTES), size);
    return tail
      .toString()
      .split("\n")
      .flatMap((line) => parse(line)?.eventId ?? []);
  } finally {
    await handle.close();
  }
}

async function read(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const length = Math.max(0, to - from);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}

function parse(line: string): { eventId?: string } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
