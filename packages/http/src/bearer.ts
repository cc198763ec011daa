import { createHash, timingSafeEqual } from "node:crypto";

/** RFC 6750 §2.1, with any visible ASCII as the token; the scheme may be in upper or lower case (RFC 9110 §11.1). */
const BEARER = /^Bearer +([!-~]+) *$/i;

/** The header by which a 401 asks for a token. */
export const BEARER_CHALLENGE = { "WWW-Authenticate": "Bearer" };

/** Returns the token in an `Authorization` header, or `undefined` if it has none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return BEARER.exec(authorization ?? "")?.[1];
}

/** Returns the SHA-256 of a token. Hashes have one length, so they can be compared in constant time. */
export function hashToken(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Compares two hashes in constant time. */
export function isSameHash(a: Buffer, b: Buffer): boolean {
  return timingSafeEqual(a, b);
}
