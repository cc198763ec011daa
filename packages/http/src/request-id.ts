import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { RequestHandler } from "express";

const HEADER = "X-Request-Id";
/** Excludes addresses and line breaks. */
const ACCEPTED = /^[\w.-]{1,128}$/;

/** Sets `X-Request-Id` of the response to the client's request id if it is valid, otherwise to a new one. */
export const assignRequestId: RequestHandler = (request, response, next) => {
  const given = request.get(HEADER) ?? "";
  response.setHeader(HEADER, ACCEPTED.test(given) ? given : randomUUID());
  next();
};

/** Returns the id of the request that a response belongs to. */
export function requestIdOf(response: ServerResponse): string {
  return String(response.getHeader(HEADER) ?? randomUUID());
}
