import type { IncomingMessage } from "node:http";
import type { Request, RequestHandler } from "express";
import { Problem } from "./problem.ts";

/** Smaller bodies are bounded by their number, so that nobody who sends a large one slowly holds them up. */
const LARGE_BYTES = 65_536;
/** While it is read, parsed, published and confirmed, a body is held several times. */
const BUDGET_BYTES = 16 * 1_024 * 1_024;

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
      if (bytes > limitBytes) throw new Problem("BODY_TOO_LARGE");
      const more = bytes < LARGE_BYTES ? 0 : bytes - held;
      if (taken + more > budget) throw new Problem("BODIES_FULL", { outcome: "not_accepted" });
      taken += more;
      held += more;
    });
    next();
  };
}

function refuseByHead(request: Request, limitBytes: number): void {
  if (Number(request.get("Content-Length") ?? 0) > limitBytes) throw new Problem("BODY_TOO_LARGE");
  if ((request.get("Content-Encoding") ?? "identity") !== "identity")
    throw new Problem("ENCODING_UNSUPPORTED");
  if (!/^100-continue$/i.test(request.get("Expect") ?? "100-continue"))
    throw new Problem("EXPECTATION_UNKNOWN");
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
    throw cause instanceof Problem ? cause : new Problem("REQUEST_MALFORMED", { cause });
  }
  return Buffer.concat(chunks);
}
