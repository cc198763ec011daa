import { HTTP_PROBLEMS, Problem, problemKinds } from "@wellsent/http";
import { AppError, codeOf, PublishRefused, PublishUnknown } from "@wellsent/runtime";

/** Every problem that the internal port answers. */
export const PROBLEMS = {
  ...HTTP_PROBLEMS,
  ...problemKinds({
    TOKEN_INVALID: { status: 401, title: "The token of the internal port is required" },
    EMAIL_UNKNOWN: { status: 404, title: "Nothing is recorded of this email" },
    PASS_RUNNING: { status: 409, title: "Another pass is running" },
    REQUEST_INVALID: { status: 422, title: "The query or the body is not valid" },
    BROKER_AWAY: { status: 503, retryAfter: 5, title: "The broker is down" },
    LEDGER_BROKEN: { status: 503, retryAfter: 10, title: "The ledger is being built" },
  }),
};

/** Returns the problem document for an error of the other rooms, or `undefined` if the error is unexpected. */
export function explain(error: unknown): Problem | undefined {
  if (error instanceof PublishRefused || error instanceof PublishUnknown) {
    return new Problem(PROBLEMS.BROKER_AWAY, { detail: error.message, cause: error });
  }
  const code = codeOf(error);
  if (!(error instanceof AppError) || !(code in PROBLEMS)) return undefined;
  const kind = PROBLEMS[code as keyof typeof PROBLEMS];
  return new Problem(kind, { detail: error.message, cause: error });
}
