import { problemKinds } from "./problem.ts";

/** The problems that any HTTP request can have. */
export const HTTP_PROBLEMS = problemKinds({
  REQUEST_MALFORMED: { status: 400, title: "The request is not HTTP, or ended too early" },
  JSON_MALFORMED: { status: 400, title: "The request's body is not JSON" },
  JSON_NOT_UTF8: { status: 400, title: "The request's body is not UTF-8" },
  JSON_TOO_DEEP: { status: 400, title: "The request's body is nested too deeply" },
  JSON_MEMBER_REPEATED: { status: 400, title: "A member of an object is repeated" },
  ORIGIN_REFUSED: { status: 403, title: "Web pages may not send without an API key" },
  ROUTE_UNKNOWN: { status: 404, title: "There is nothing at this path" },
  METHOD_NOT_ALLOWED: { status: 405, title: "The path does not have this method" },
  NOT_ACCEPTABLE: { status: 406, title: "The response would be application/json" },
  REQUEST_TIMEOUT: { status: 408, title: "The request did not arrive in time" },
  BODY_TOO_LARGE: { status: 413, title: "The body is too large" },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, title: "The request's body must be application/json" },
  CHARSET_UNSUPPORTED: { status: 415, title: "The request's charset must be utf-8" },
  ENCODING_UNSUPPORTED: { status: 415, title: "The request's body must not be compressed" },
  EXPECTATION_UNKNOWN: { status: 417, title: "The only supported expectation is 100-continue" },
  HOST_REFUSED: { status: 421, title: "The Host header is not a name of this machine" },
  JSON_TOO_MANY_VALUES: { status: 422, title: "The request's body has too many values" },
  HEADERS_TOO_LARGE: { status: 431, title: "The request's headers are too large" },
  UNEXPECTED: { status: 500, title: "An unexpected error of the server" },
  BODIES_FULL: { status: 503, retryAfter: 1, title: "Too many bodies are being received" },
});
