import { MIMEType } from "node:util";
import type { Request, RequestHandler, Response } from "express";
import { BodyPool, type PooledBody } from "./body-pool.ts";
import { parseJson } from "./parse-json.ts";
import { Problem } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";

/** Larger bodies have their own pool, so that they cannot block small ones. Bytes. */
const SMALL_BYTES = 65_536;
/**
 * The memory of each pool. A body is held several times while it is read, parsed, published and confirmed: a process
 * with 320 MiB has room for both pools, see docs/adr/0017.
 */
const POOL_BYTES = 16 * 1_024 * 1_024;
/** An email has up to sixty values. A list of empty objects needs forty times its bytes after parsing. */
const VALUES_MAX = 10_000;
/** ASCII is a subset of UTF-8. */
const CHARSETS = new Set(["utf-8", "utf8", "us-ascii", "ascii"]);

/** Refuses a request whose `Content-Type` is not JSON. */
export const requireJson: RequestHandler = (request, _response, next) => {
  const type = mediaType(request.get("Content-Type") ?? "");
  if (type?.essence !== "application/json") throw new Problem(HTTP_PROBLEMS.MEDIA_TYPE_UNSUPPORTED);
  if (!CHARSETS.has((type.params.get("charset") ?? "utf-8").toLowerCase())) {
    throw new Problem(HTTP_PROBLEMS.CHARSET_UNSUPPORTED);
  }
  next();
};

/**
 * Reads a body of at most `limitBytes` into `request.body`, a Buffer. Refuses a request by its head before reading the body.
 * All bodies of one reader share the memory of two pools, until their responses are sent.
 */
export function readBody(limitBytes: number): RequestHandler {
  const small = new BodyPool(POOL_BYTES);
  const large = new BodyPool(Math.max(POOL_BYTES, 2 * limitBytes));
  return async (request, response, next) => {
    refuseByHead(request, limitBytes);
    // Node would send 100 to a request that is then refused, and 417 without a problem document.
    if (request.get("Expect") !== undefined) response.writeContinue();
    const body: IncomingBody = new IncomingBody(request, response, (bytes) => {
      if (bytes <= SMALL_BYTES) return small.resize(body, bytes);
      small.release(body);
      return large.resize(body, bytes);
    });
    response.once("close", () => {
      small.release(body);
      large.release(body);
    });
    request.body = await body.receive(limitBytes);
    next();
  };
}

/** Parses the JSON in `request.body`, of at most `valuesMax` values. */
export function parseJsonBody(valuesMax = VALUES_MAX): RequestHandler {
  return (request, _response, next) => {
    request.body = parseJson(request.body as Buffer, valuesMax);
    next();
  };
}

/** Content codings and expectations are not case-sensitive (RFC 9110 §8.4.1, §10.1.1). */
function refuseByHead(request: Request, limitBytes: number): void {
  if (Number(request.get("Content-Length") ?? 0) > limitBytes) {
    throw new Problem(HTTP_PROBLEMS.BODY_TOO_LARGE);
  }
  const codings = (request.get("Content-Encoding") ?? "").toLowerCase().split(",");
  if (codings.some((coding) => !["", "identity"].includes(coding.trim()))) {
    throw new Problem(HTTP_PROBLEMS.ENCODING_UNSUPPORTED);
  }
  if ((request.get("Expect") ?? "100-continue").toLowerCase() !== "100-continue") {
    throw new Problem(HTTP_PROBLEMS.EXPECTATION_UNKNOWN);
  }
}

/** A body that is being received, in one buffer that grows: a client may send a body in chunks of one byte. */
class IncomingBody implements PooledBody {
  readonly #request: Request;
  readonly #response: Response;
  readonly #reserve: (bytes: number) => boolean;
  readonly #received = Promise.withResolvers<Buffer>();
  #buffer = Buffer.alloc(0);
  #length = 0;

  constructor(request: Request, response: Response, reserve: (bytes: number) => boolean) {
    this.#request = request;
    this.#response = response;
    this.#reserve = reserve;
  }

  /** Resolves to the whole body. @throws {Problem} BODY_TOO_LARGE, BODIES_FULL, REQUEST_MALFORMED */
  receive(limitBytes: number): Promise<Buffer> {
    this.#request.on("data", (chunk: Buffer) => {
      const needed = this.#length + chunk.length;
      if (needed > limitBytes) this.#fail(new Problem(HTTP_PROBLEMS.BODY_TOO_LARGE));
      else if (this.#grow(needed)) this.#append(chunk);
      else this.evict();
    });
    this.#request.once("end", () => this.#received.resolve(this.#buffer.subarray(0, this.#length)));
    for (const event of ["error", "close"]) {
      this.#request.once(event, () => this.#fail(new Problem(HTTP_PROBLEMS.REQUEST_MALFORMED)));
    }
    return this.#received.promise;
  }

  waitsForClient(): boolean {
    return !this.#request.complete || this.#response.writableEnded;
  }

  /** A request that is not complete gets an answer. If the response was sent and not read, the connection is closed. */
  evict(): void {
    if (this.#response.writableEnded) this.#request.destroy();
    else this.#fail(new Problem(HTTP_PROBLEMS.BODIES_FULL, { outcome: "not_accepted" }));
  }

  #fail(problem: Problem): void {
    this.#received.reject(problem);
    this.#buffer = Buffer.alloc(0);
    // Destroying the request would also close the connection, before the answer is sent.
    this.#request.removeAllListeners("data").resume();
  }

  #grow(needed: number): boolean {
    if (needed <= this.#buffer.length) return true;
    const announced = Number(this.#request.get("Content-Length") ?? Infinity);
    const capacity = Math.max(needed, Math.min(2 * this.#buffer.length, announced));
    if (!this.#reserve(capacity)) return false;
    const grown = Buffer.allocUnsafe(capacity);
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    return true;
  }

  #append(chunk: Buffer): void {
    chunk.copy(this.#buffer, this.#length);
    this.#length += chunk.length;
  }
}

function mediaType(header: string): MIMEType | undefined {
  try {
    return new MIMEType(header);
  } catch {
    return undefined;
  }
}
