import type { ServerResponse } from "node:http";
import { AppError, codeOf, PublishRefused, PublishUnknown } from "@posthorn/chassis";
import { z } from "zod";
import { requestIdOf } from "./observe.ts";

/** What the API answers instead of 2xx. `retryAfter` is in seconds. */
export interface ProblemKind {
  status: number;
  title: string;
  retryAfter?: number;
}

/** Every code of a problem document, with its status and title. docs/errors.md has an anchor for each. */
export const PROBLEMS = {
  REQUEST_MALFORMED: { status: 400, title: "The request is not HTTP, or was broken off" },
  JSON_MALFORMED: { status: 400, title: "The request's body is not JSON" },
  JSON_NOT_UTF8: { status: 400, title: "The request's body is not UTF-8" },
  JSON_TOO_DEEP: { status: 400, title: "The request's body is nested too deeply" },
  API_KEY_MISSING: { status: 401, title: "An API key is required" },
  API_KEY_UNKNOWN: { status: 401, title: "The API key is not known" },
  ROUTE_UNKNOWN: { status: 404, title: "There is nothing at this path" },
  METHOD_NOT_ALLOWED: { status: 405, title: "The path does not take this method" },
  NOT_ACCEPTABLE: { status: 406, title: "The answer would be application/json" },
  REQUEST_TIMEOUT: { status: 408, title: "The request did not arrive in time" },
  BODY_TOO_LARGE: { status: 413, title: "The body is too large" },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, title: "The request's body must be application/json" },
  CHARSET_UNSUPPORTED: { status: 415, title: "The request's charset must be utf-8" },
  ENCODING_UNSUPPORTED: { status: 415, title: "The request's body must not be compressed" },
  EXPECTATION_UNKNOWN: { status: 417, title: "The only expectation met is 100-continue" },
  EMAIL_INVALID: { status: 422, title: "The email is not valid" },
  HEADERS_TOO_LARGE: { status: 431, title: "The request's headers are too large" },
  UNEXPECTED: { status: 500, title: "Something went wrong on our side" },
  AMQP_DISCONNECTED: { status: 503, retryAfter: 5, title: "The broker is away" },
  AMQP_BLOCKED: { status: 503, retryAfter: 10, title: "The broker takes no messages" },
  AMQP_WINDOW_FULL: { status: 503, retryAfter: 1, title: "Too many emails are being sent" },
  BODIES_FULL: { status: 503, retryAfter: 1, title: "Too many large emails are being sent" },
  AMQP_UNROUTABLE: { status: 503, retryAfter: 5, title: "The queues are missing" },
  AMQP_CONFIRM_TIMEOUT: { status: 503, retryAfter: 5, title: "The broker did not confirm in time" },
  AMQP_NACKED: { status: 503, retryAfter: 5, title: "The broker did not take the email" },
  AMQP_CHANNEL_LOST: { status: 503, retryAfter: 5, title: "The broker was lost midway" },
  TOPOLOGY_UNVERIFIED: { status: 503, retryAfter: 5, title: "The queues are not verified" },
  QUEUE_FULL: { status: 503, retryAfter: 30, title: "Too many emails wait to be sent" },
} as const satisfies Record<string, ProblemKind>;

/** The stable `code` of a problem document. */
export type ProblemCode = keyof typeof PROBLEMS;

const fieldSchema = z.object({ field: z.string(), reason: z.string() });

/** A problem document (RFC 9457). */
export const problemSchema = z.object({
  type: z.string().describe("Names the kind of problem, as `code` does"),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  code: z.enum(Object.keys(PROBLEMS)).describe("Stable; see docs/errors.md"),
  requestId: z.string().describe("The request's id, also in `X-Request-Id`"),
  errors: z.array(fieldSchema).optional().describe("Which fields are at fault and why"),
  position: z
    .object({ offset: z.int(), line: z.int(), column: z.int() })
    .optional()
    .describe("Where JSON ends to be JSON; `offset` counts from 0, the others from 1"),
  outcome: z
    .enum(["not_accepted", "unknown"])
    .optional()
    .describe("not_accepted: send it again. unknown: it may be on its way already"),
  id: z.string().optional().describe("Of the email whose outcome is unknown"),
});

/** What a problem document says beyond its kind; `headers` go into the response's head. */
export type ProblemMembers = Partial<
  Pick<z.output<typeof problemSchema>, "detail" | "errors" | "position" | "outcome" | "id">
> & { headers?: Record<string, string>; cause?: unknown };

/** A request that is answered with a problem document. Nothing in it quotes what was sent. */
export class Problem extends AppError {
  declare readonly code: ProblemCode;
  readonly #members: Omit<ProblemMembers, "headers" | "cause">;
  readonly #headers: Record<string, string>;

  constructor(code: ProblemCode, { headers = {}, cause, ...members }: ProblemMembers = {}) {
    super(code, PROBLEMS[code].title, { cause });
    this.#members = members;
    this.#headers = headers;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  /** The head's fields and the document's text. */
  format(requestId: string): { headers: Record<string, string | number>; text: string } {
    const { status, title, retryAfter }: ProblemKind = PROBLEMS[this.code];
    const { code } = this;
    const type = `urn:posthorn:problem:${code}`;
    const text = JSON.stringify({ type, title, status, code, ...this.#members, requestId });
    const headers = {
      "Content-Type": "application/problem+json",
      "Content-Length": Buffer.byteLength(text),
      "X-Request-Id": requestId,
      ...(retryAfter === undefined ? {} : { "Retry-After": retryAfter }),
      ...this.#headers,
    };
    return { headers, text };
  }

  /** Answers a request with the problem document. */
  answer(response: ServerResponse): void {
    const { headers, text } = this.format(requestIdOf(response));
    response.writeHead(this.status, headers).end(text);
  }
}

/** What a thrown value is to the client. An unexpected one says nothing of itself. */
export function toProblem(error: unknown, id?: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PublishRefused)
    return new Problem(known(error), { outcome: "not_accepted", cause: error });
  if (error instanceof PublishUnknown)
    return new Problem(known(error), { outcome: "unknown", ...(id && { id }), cause: error });
  return new Problem("UNEXPECTED", { cause: error });
}

function known(error: unknown): ProblemCode {
  const code = codeOf(error);
  return code in PROBLEMS ? (code as ProblemCode) : "UNEXPECTED";
}
