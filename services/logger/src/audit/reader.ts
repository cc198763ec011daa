import { createReadStream } from "node:fs";
import { open as openFile, type FileHandle } from "node:fs/promises";
import type { Part } from "@wellsent/ledger";
import type { Open } from "./file.ts";
import { auditLineSchema, type AuditLine } from "./line.ts";

const NEWLINE = 0x0a;
/** Many times what one write can leave torn, enough for the events that are remembered, and a bound. */
const TAIL_BYTES = 32 * 1_024 * 1_024;
/** Many times the longest line that is written; a longer one was not written by a logger. */
const LINE_MAX_BYTES = 1_024 * 1_024;
const EMPTY = Buffer.alloc(0);

/** Consecutive lines of a file, as they stand there. */
interface Texts {
  texts: string[];
  /** The offset behind the last one, in bytes. */
  to: number;
}

/**
 * Cuts off what a kill or a power cut left: bytes after the last line break, and a last line that is not JSON.
 * Nothing of it was acknowledged, so the broker delivers it again. The rest is synced, because a kill may have come between
 * writing and syncing it, and lines that are in the file are not written again.
 */
export async function repairTail(path: string, open: Open): Promise<{ size: number; cut: number }> {
  await using handle = await open(path, "r+");
  const { size } = await handle.stat();
  const tail = await readBefore(handle, size, TAIL_BYTES);
  const end = tail.lastIndexOf(NEWLINE) + 1;
  const begin = lastLineBegin(tail, end);
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
    const { size } = await handle.stat();
    const tail = await readBefore(handle, size, TAIL_BYTES);
    lines = [...parseLines(tail.toString().split("\n")), ...lines];
  }
  return lines.slice(-limit);
}

/** The whole lines of a file from an offset on, in parts. Lines that are not ours are left out. */
export async function* readParts(path: string, from: number): AsyncGenerator<Part> {
  for await (const { texts, to } of textsOf(path, from)) yield { events: parseLines(texts), to };
}

/** The line that ends at an offset of a file; undefined if none does. */
export async function lineBefore(path: string, offset: number): Promise<AuditLine | undefined> {
  await using handle = await openFile(path, "r");
  const bytes = await readBefore(handle, offset, LINE_MAX_BYTES);
  if (bytes.at(-1) !== NEWLINE) return undefined;
  return parseLine(bytes.toString("utf8", lastLineBegin(bytes, bytes.length)));
}

/**
 * The whole lines of a file from an offset on, in parts. A line ends at a line feed and nowhere else: a text may hold
 * U+2028 and the like, at which Node's readline splits.
 */
export async function* textsOf(path: string, from = 0): AsyncGenerator<Texts> {
  let rest: Buffer = EMPTY;
  let to = from;
  for await (const chunk of createReadStream(path, { start: from }) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    rest = bytes.subarray(end);
    if (end > 0) {
      to += end;
      yield { texts: bytes.toString("utf8", 0, end - 1).split("\n"), to };
    }
    // What is left out here makes its line no JSON, so the whole line is left out.
    if (rest.length > LINE_MAX_BYTES) {
      to += rest.length - 1;
      rest = rest.subarray(0, 1);
    }
  }
}

async function readBefore(handle: FileHandle, offset: number, most: number): Promise<Buffer> {
  const length = Math.min(offset, most);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset - length);
  return buffer.subarray(0, bytesRead);
}

/** Where the line that ends at `end` begins. */
function lastLineBegin(bytes: Buffer, end: number): number {
  return bytes.subarray(0, Math.max(0, end - 1)).lastIndexOf(NEWLINE) + 1;
}

function parseLines(lines: readonly string[]): AuditLine[] {
  return lines.map(parseLine).filter((line) => line !== undefined);
}

/** Reads a line; undefined if it is not one of ours. */
export function parseLine(line: string): AuditLine | undefined {
  return auditLineSchema.safeParse(parseJson(line)).data;
}

/** Undefined if the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
