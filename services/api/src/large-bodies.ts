import type { RequestHandler } from "express";
import { Problem } from "./problem.ts";

/** Smaller bodies are bounded by their number, so that nobody who claims a large one and sends it slowly holds them up. */
const LARGE_BYTES = 65_536;
/** While it is read, parsed, published and confirmed, a body is held several times. */
const BUDGET_BYTES = 16 * 1_024 * 1_024;

/**
 * Refuses, before it is read, a body that is too large, and a large one while others take up the memory that there is for
 * them. One of unknown length counts as the largest.
 */
export function admitBody(limitBytes: number): RequestHandler {
  const budget = Math.max(BUDGET_BYTES, 2 * limitBytes);
  let taken = 0;
  return (request, response, next) => {
    const length = Number(request.get("Content-Length") ?? limitBytes);
    if (length > limitBytes) throw new Problem("BODY_TOO_LARGE");
    if (length < LARGE_BYTES) {
      next();
      return;
    }
    if (taken + length > budget) throw new Problem("BODIES_FULL", { outcome: "not_accepted" });
    taken += length;
    response.once("close", () => (taken -= length));
    next();
  };
}
