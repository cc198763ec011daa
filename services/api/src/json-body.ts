import { MIMEType } from "node:util";
import type { RequestHandler } from "express";
import { visit } from "jsonc-parser";
import { Problem } from "./problem.ts";

/** An email has two levels; deeper nesting only costs memory (fifty times its bytes, when tried). */
const DEPTH_MAX = 32;

/** Refuses what is not JSON by its type. */
export const requireJson: RequestHandler = (request, _response, next) => {
  const type = mediaType(request.get("Content-Type") ?? "");
  if (type?.essence !== "application/json") throw new Problem("MEDIA_TYPE_UNSUPPORTED");
  if (!/^utf-?8$/i.test(type.params.get("charset") ?? "utf-8"))
    throw new Problem("CHARSET_UNSUPPORTED");
  next();
};

/** Parses the JSON in `request.body`. */
export const parseJsonBody: RequestHandler = (request, _response, next) => {
  request.body = parseJson(decode(request.body as Buffer));
  next();
};

function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw new Problem("JSON_TOO_DEEP");
  try {
    return JSON.parse(text);
  } catch {
    // n.b. V8's own message quotes the input and often has no position.
    visit(text, { onError: refuseAt }, { disallowComments: true });
    throw new Problem("JSON_MALFORMED");
  }
}

/** Throws at the first fault: a long body can have millions. */
function refuseAt(_code: number, offset: number, _length: number, row: number, place: number) {
  const position = { offset, line: row + 1, column: place + 1 };
  const detail = `At line ${position.line}, column ${position.column}`;
  throw new Problem("JSON_MALFORMED", { detail, position });
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
function isTooDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length && depth <= DEPTH_MAX; at += 1) {
    const character = text[at];
    if (character === '"') quoted = !quoted;
    else if (quoted) at += character === "\\" ? 1 : 0;
    else if (character === "[" || character === "{") depth += 1;
    else if (character === "]" || character === "}") depth -= 1;
  }
  return depth > DEPTH_MAX;
}
