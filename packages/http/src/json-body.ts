import type { IncomingMessage } from "node:http";
import { MIMEType } from "node:util";
import type { Request, RequestHandler } from "express";
import { visit } from "jsonc-parser";
import { Problem } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";

/** An email has two levels; deeper nesting only costs memory (fifty times its bytes, when tried). */
const DEPTH_MAX = 32;
/** Smaller bodies are bounded by their number, so that nobody who sends a large one slowly holds them up. */
const LARGE_BYTES = 65_536;
/** While it is read, parsed, published and confirmed, a body is held several times. */
const BUDGET_BYTES = 16 * 1_024 * 1_024;

/** Refuses what is not JSON by its type. */
export const requireJson: RequestHandler = (request, _response, next) => {
  const type = mediaType(request.get("Content-Type") ?? "");
  if (type?.essence !== "application/json") throw new Problem(HTTP_PROBLEMS.MEDIA_TYPE_UNSUPPORTED);
  if (!/^utf-?8$/i.test(type.params.get("charset") ?? "utf-8"))
    throw new Problem(HTTP_PROBLEMS.CHARSET_UNSUPPORTED);
  next();
};

/**
 * Reads a request's body into `request.body`, a Buffer, of at most so many bytes. What its head tells is refused before it is
 * read; a large one, as soon as it no longer fits in the memory that there is for all of them. What is announced takes none.
 */
export function readBody(limitBytes: number): RequestHandler {
  const budget = Math.max(BUDGET_BYTES, 2 * limitBytes);
  let taken = 0;
  return async (request, response, next) => {
    refuseByHead(request, limitBytes);
    // n.b. Node would say 100 to a body that is then refused, and 417 in no words.
    if (request.get("Expect") !== undefined) response.writeContinue();
    let held = 0;
    response.once("close", () => (taken -= held));
    request.body = await collect(request, (bytes) => {
      if (bytes > limitBytes) throw new Problem(HTTP_PROBLEMS.BODY_TOO_LARGE);
      const more = bytes < LARGE_BYTES ? 0 : bytes - held;
      if (taken + more > budget)
        throw new Problem(HTTP_PROBLEMS.BODIES_FULL, { outcome: "not_accepted" });
      taken += more;
      held += more;
    });
    next();
  };
}

function refuseByHead(request: Request, limitBytes: number): void {
  if (Number(request.get("Content-Length") ?? 0) > limitBytes)
    throw new Problem(HTTP_PROBLEMS.BODY_TOO_LARGE);
  if ((request.get("Content-Encoding") ?? "identity") !== "identity")
    throw new Problem(HTTP_PROBLEMS.ENCODING_UNSUPPORTED);
  if (!/^100-continue$/i.test(request.get("Expect") ?? "100-continue"))
    throw new Problem(HTTP_PROBLEMS.EXPECTATION_UNKNOWN);
}

/** `admit` is told how many bytes there are so far, and may throw. */
async function collect(request: IncomingMessage, admit: (bytes: number) => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // n.b. a request that is destroyed takes the connection along, and the answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk as Buffer);
      admit((bytes += (chunk as Buffer).length));
    }
  } catch (cause) {
    request.resume();
    throw cause instanceof Problem
      ? cause
      : new Problem(HTTP_PROBLEMS.REQUEST_MALFORMED, { cause });
  }
  return Buffer.concat(chunks);
}

/** Parses the JSON in `request.body`. */
export const parseJsonBody: RequestHandler = (request, _response, next) => {
  request.body = parseJson(decode(request.body as Buffer));
  next();
};

function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw new Problem(HTTP_PROBLEMS.JSON_TOO_DEEP);
  try {
    return JSON.parse(text);
  } catch {
    // n.b. V8's own message quotes the input and often has no position.
    visit(text, { onError: refuseAt }, { disallowComments: true });
    throw new Problem(HTTP_PROBLEMS.JSON_MALFORMED);
  }
}

/** Throws at the first fault: a long body can have millions. */
function refuseAt(_code: number, offset: number, _length: number, row: number, place: number) {
  const position = { offset, line: row + 1, column: place + 1 };
  const detail = `At line ${position.line}, column ${position.column}`;
  throw new Problem(HTTP_PROBLEMS.JSON_MALFORMED, { detail, position });
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
    throw new Problem(HTTP_PROBLEMS.JSON_NOT_UTF8, { cause });
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
