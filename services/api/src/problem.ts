import type { ServerResponse } from "node:http";
import { AppError, codeOf, PublishRefused, PublishUnknown } from "@wellsent/runtime";
import * as z from "zod";
import problems from "../problems.json" with { type: "json" };
import { requestIdOf } from "./observe.ts";

/** What the API answers instead of 2xx. `retryAfter` is in seconds. */
export interface ProblemKind {
  status: number;
  title: string;
  retryAfter?: number;
}

/** Every code of a problem document, with its status and title. docs/errors.md has an anchor for each. */
export const PROBLEMS: Readonly<Record<keyof typeof problems, ProblemKind>> = problems;

/** The stable `code` of a problem document. */
export type ProblemCode = keyof typeof problems;

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
    const { status, title, retryAfter } = PROBLEMS[this.code];
    const { code } = this;
    const type = `urn:wellsent:problem:${code}`;
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
