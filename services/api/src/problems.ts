import { HTTP_PROBLEMS, Problem, problemKinds } from "@wellsent/http";
import { codeOf, PublishRefused, PublishUnknown } from "@wellsent/runtime";

/** Every problem that the API answers. */
export const PROBLEMS = {
  ...HTTP_PROBLEMS,
  ...problemKinds({
    API_KEY_MISSING: { status: 401, title: "An API key is required" },
    API_KEY_UNKNOWN: { status: 401, title: "The API key is unknown" },
    EMAIL_INVALID: { status: 422, title: "The email is not valid" },
    AMQP_DISCONNECTED: { status: 503, retryAfter: 5, title: "The broker is down" },
    AMQP_BLOCKED: { status: 503, retryAfter: 10, title: "The broker accepts no messages" },
    AMQP_WINDOW_FULL: { status: 503, retryAfter: 1, title: "Too many emails are being sent" },
    AMQP_UNROUTABLE: { status: 503, retryAfter: 5, title: "The queues are missing" },
    AMQP_CONFIRM_TIMEOUT: {
      status: 503,
      retryAfter: 5,
      title: "The broker did not confirm in time",
    },
    AMQP_NACKED: { status: 503, retryAfter: 5, title: "The broker did not store the email" },
    AMQP_CHANNEL_LOST: {
      status: 503,
      retryAfter: 5,
      title: "The broker disconnected before it confirmed",
    },
    TOPOLOGY_UNVERIFIED: { status: 503, retryAfter: 5, title: "The queues are not verified" },
    QUEUE_FULL: { status: 503, retryAfter: 30, title: "Too many emails are queued" },
    QUEUE_BYTES_FULL: {
      status: 503,
      retryAfter: 30,
      title: "The queued emails have too many bytes",
    },
  }),
};

/**
 * Returns the problem document for an error of publishing, or `undefined` for any other error.
 * `id`: the id of the email, which is in the document if the outcome is unknown.
 */
export function publishProblem(error: unknown, id?: string): Problem | undefined {
  const code = codeOf(error);
  const kind = code in PROBLEMS ? PROBLEMS[code as keyof typeof PROBLEMS] : PROBLEMS.UNEXPECTED;
  if (error instanceof PublishRefused) {
    return new Problem(kind, { outcome: "not_accepted", cause: error });
  }
  if (error instanceof PublishUnknown) {
    return new Problem(kind, { outcome: "unknown", ...(id && { id }), cause: error });
  }
  return undefined;
}
