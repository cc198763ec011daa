import type { ServerResponse } from "node:http";
import { AppError } from "@wellsent/runtime";
import * as z from "zod";
import { requestIdOf } from "./request-id.ts";

/** One kind of problem. docs/errors.md has a row for each code. */
export interface ProblemKind {
  /** Stable; clients switch on it. */
  code: string;
  status: number;
  title: string;
  /** Seconds that a client should wait before it tries again. */
  retryAfter?: number;
}

/** Kinds of problems by their codes. */
export type ProblemKinds<Code extends string = string> = Readonly<Record<Code, ProblemKind>>;

/** Returns a table of kinds in which each kind has its code. */
export function problemKinds<Code extends string>(
  table: Readonly<Record<Code, Omit<ProblemKind, "code">>>,
): ProblemKinds<Code> {
  const entries = Object.entries<Omit<ProblemKind, "code">>(table);
  const kinds = entries.map(([code, kind]) => [code, { code, ...kind }]);
  return Object.fromEntries(kinds) as ProblemKinds<Code>;
}

const fieldSchema = z.object({ field: z.string(), reason: z.string() });

/** The members of a problem document that depend on the request. */
const membersSchema = z.object({
  detail: z.string().optional(),
  errors: z.array(fieldSchema).optional().describe("Which fields are at fault and why"),
  position: z
    .object({ offset: z.int(), line: z.int(), column: z.int() })
    .optional()
    .describe("The first invalid character; `offset` counts from 0, the others from 1"),
  outcome: z
    .enum(["not_accepted", "unknown"])
    .optional()
    .describe("not_accepted: send it again. unknown: it may have been accepted"),
  id: z.string().optional().describe("The id of the email whose outcome is unknown"),
});

/** Returns the schema of a problem document (RFC 9457) that has one of the given kinds. */
export function problemSchema(kinds: readonly ProblemKind[]): z.ZodType {
  const { detail, ...others } = membersSchema.shape;
  const codes = kinds.map(({ code }) => code);
  return z.object({
    type: z.string().describe("Names the kind of problem, as `code` does"),
    title: z.string(),
    status: z.int(),
    detail,
    code: z.enum(codes).describe("Stable; see docs/errors.md"),
    requestId: z.string().describe("The request's id, also in `X-Request-Id`"),
    ...others,
  });
}

/** The members of one problem document beyond its kind. `headers` are added to the response. */
export type ProblemMembers = z.output<typeof membersSchema> & {
  headers?: Record<string, string>;
  cause?: unknown;
};

/** An error that is answered with a problem document (RFC 9457). The document does not quote the request. */
export class Problem extends AppError {
  readonly kind: ProblemKind;
  readonly #members: Omit<ProblemMembers, "headers" | "cause">;
  readonly #headers: Record<string, string>;

  constructor(kind: ProblemKind, { headers = {}, cause, ...members }: ProblemMembers = {}) {
    super(kind.code, kind.title, { cause });
    this.kind = kind;
    this.#members = members;
    this.#headers = headers;
  }

  /** Returns the header fields of the response and the text of the document. */
  format(requestId: string): { headers: Record<string, string | number>; text: string } {
    const { code, status, title, retryAfter } = this.kind;
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
    response.writeHead(this.kind.status, headers).end(text);
  }
}
