import { createReadStream } from "node:fs";
import { open as openFile, type FileHandle } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Open } from "./file.ts";
import { auditLineSchema, type AuditLine } from "./line.ts";

const NEWLINE = 0x0a;
/** Many times what one write can leave torn, enough for the events that are remembered, and a bound. */
const TAIL_BYTES = 32 * 1_024 * 1_024;
/** Lines read at a time, so that the service goes on beside. */
const PART_LINES = 500;

/**
 * Cuts off what a kill or a power cut left: bytes after the last line break, and a last line that is not JSON.
 * None of it was acknowledged, so the broker hands it over again. What is left is synced: a kill may have come between
 * writing and syncing it, and what stands here is not written again.
 */
export async function repairTail(path: string, open: Open): Promise<{ size: number; cut: number }> {
  await using handle = await open(path, "r+");
  const { size, tail } = await readTail(handle);
  const end = tail.lastIndexOf(NEWLINE) + 1;
  const begin = tail.subarray(0, Math.max(0, end - 1)).lastIndexOf(NEWLINE) + 1;
  const sound = parseJson(tail.toString("utf8", begin, end)) === undefined ? begin : end;
  const cut = tail.length - sound;
  if (cut > 0) await handle.truncate(size - cut);
  await handle.datasync();
  return { size: size - cut, cut };
}

/** The newest lines of files that are given oldest first; in their order, at most `limit`. */
export async function newestLines(paths: readonly string[], limit: number): Promise<AuditLine[]> {
  let lines: AuditLine[] = [];
  for (const path of paths.toReversed()) {
    if (lines.length >= limit) break;
    await using handle = await openFile(path, "r");
    const { tail } = await readTail(handle);
    lines = [...parseLines(tail.toString().split("\n")), ...lines];
  }
  return lines.slice(-limit);
}

/** All lines of files, in parts. What another hand made unreadable is left out. */
export async function* allLines(paths: readonly string[]): AsyncGenerator<AuditLine[]> {
  for (const path of paths) {
    let part: string[] = [];
    for await (const line of textsOf(path)) {
      if (part.push(line) < PART_LINES) continue;
      yield parseLines(part);
      part = [];
    }
    yield parseLines(part);
  }
}

/** The lines of a file as they stand there. */
export function textsOf(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Infinity });
}

async function readTail(handle: FileHandle): Promise<{ size: number; tail: Buffer }> {
  const { size } = await handle.stat();
  const length = Math.min(size, TAIL_BYTES);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
  return { size, tail: buffer.subarray(0, bytesRead) };
}

function parseLines(lines: readonly string[]): AuditLine[] {
  return lines.map(parseLine).filter((line) => line !== undefined);
}

/** Reads a line; undefined when it is none. */
export function parseLine(line: string): AuditLine | undefined {
  return auditLineSchema.safeParse(parseJson(line)).data;
}

/** n.b. no JSON is undefined. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
