import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { RequestHandler } from "express";

const HEADER = "X-Request-Id";
/** Narrow enough that an id can hold neither an address nor a line break. */
const ACCEPTED = /^[\w.-]{1,128}$/;

/** Uses the client's request id, or makes one, and returns it with every response. */
export const assignRequestId: RequestHandler = (request, response, next) => {
  const given = request.get(HEADER) ?? "";
  response.setHeader(HEADER, ACCEPTED.test(given) ? given : randomUUID());
  next();
};

/** Returns the id of the request that a response belongs to. */
export function requestIdOf(response: ServerResponse): string {
  return String(response.getHeader(HEADER) ?? randomUUID());
}
