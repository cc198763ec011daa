import { codeOf, PublishRefused, PublishUnknown } from "@posthorn/chassis";
import { Problem, PROBLEMS, type ProblemCode } from "./problem.ts";

/** The `type` of an error of express.raw(), and what we call it. */
const BODY_ERRORS: Readonly<Record<string, ProblemCode>> = {
  "entity.too.large": "BODY_TOO_LARGE",
  "encoding.unsupported": "ENCODING_UNSUPPORTED",
  "request.aborted": "REQUEST_MALFORMED",
  "request.size.invalid": "REQUEST_MALFORMED",
};

/** What a thrown value is to the client. An unexpected one says nothing of itself. */
export function toProblem(error: unknown, id?: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PublishRefused)
    return new Problem(known(error), { outcome: "not_accepted", cause: error });
  if (error instanceof PublishUnknown)
    return new Problem(known(error), { outcome: "unknown", ...(id && { id }), cause: error });
  return new Problem(BODY_ERRORS[typeOf(error)] ?? "UNEXPECTED", { cause: error });
}

function known(error: unknown): ProblemCode {
  const code = codeOf(error);
  return code in PROBLEMS ? (code as ProblemCode) : "UNEXPECTED";
}

function typeOf(error: unknown): string {
  return error instanceof Error && "type" in error ? String(error.type) : "";
}
