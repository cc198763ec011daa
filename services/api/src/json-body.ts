import { MIMEType } from "node:util";
import express, { type RequestHandler } from "express";
import { visit } from "jsonc-parser";
import { Problem, type ProblemMembers } from "./problem.ts";

/** An email has two levels; deeper nesting only costs memory (fifty times its bytes, when tried). */
const DEPTH_MAX = 32;

/** Reads a request's JSON into `request.body`, of at most so many bytes. */
export function readJsonBody(limitBytes: number): RequestHandler[] {
  const readBytes = express.raw({ type: () => true, limit: limitBytes, inflate: false });
  return [checkMediaType, readBytes, parseBody];
}

const checkMediaType: RequestHandler = (request, _response, next) => {
  const type = mediaType(request.get("Content-Type") ?? "");
  if (type?.essence !== "application/json") throw new Problem("MEDIA_TYPE_UNSUPPORTED");
  if (!/^utf-?8$/i.test(type.params.get("charset") ?? "utf-8"))
    throw new Problem("CHARSET_UNSUPPORTED");
  next();
};

const parseBody: RequestHandler = (request, _response, next) => {
  const bytes: unknown = request.body;
  request.body = parseJson(Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0));
  next();
};

/** Parses JSON. @throws {Problem} JSON_NOT_UTF8, JSON_TOO_DEEP, JSON_MALFORMED with the position */
export function parseJson(bytes: Buffer): unknown {
  if (isTooDeep(bytes)) throw new Problem("JSON_TOO_DEEP");
  const text = decode(bytes);
  try {
    return JSON.parse(text);
  } catch {
    // n.b. V8's own message quotes the input and often has no position.
    throw new Problem("JSON_MALFORMED", locateFault(text));
  }
}

function mediaType(header: string): MIMEType | undefined {
  try {
    return new MIMEType(header);
  } catch {
    return undefined;
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Problem("JSON_NOT_UTF8", { cause });
  }
}

/** Looks at brackets outside of strings only, before any memory is spent on them. */
function isTooDeep(bytes: Buffer): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length && depth <= DEPTH_MAX; at += 1) {
    const character = bytes[at];
    if (character === QUOTE) quoted = !quoted;
    else if (quoted) at += character === BACKSLASH ? 1 : 0;
    else depth += NESTING.get(character) ?? 0;
  }
  return depth > DEPTH_MAX;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NESTING = new Map<number | undefined, number>([
  [0x5b, 1],
  [0x7b, 1],
  [0x5d, -1],
  [0x7d, -1],
]);

/** Stops at the first fault: a long body can have millions. */
function locateFault(text: string): ProblemMembers {
  let found: ProblemMembers = {};
  const onError = (_code: number, offset: number, _length: number, row: number, place: number) => {
    const position = { offset, line: row + 1, column: place + 1 };
    found = { detail: `At line ${position.line}, column ${position.column}`, position };
    throw new Error("found");
  };
  try {
    visit(text, { onError }, { disallowComments: true });
  } catch {
    return found;
  }
  return found;
}
