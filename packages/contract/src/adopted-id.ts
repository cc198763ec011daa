import { createHash, randomInt } from "node:crypto";

/** How old an earlier adoption of the same message may be to be found. Milliseconds. */
export const ADOPTION_WINDOW_MS = 120_000;

/** The form of a digest. */
export const DIGEST = /^[89ab][\da-f]{3}-[\da-f]{12}$/;
const RAND_A_MAX = 0x1000;

/** A message without an id of ours. */
export interface ForeignMessage {
  body: Buffer;
  properties: { messageId?: unknown; timestamp?: unknown };
}

/**
 * Returns the digest of a foreign message in the form of the last two groups of a UUID, 62 bits. The same message has the
 * same digest each time the broker hands it over. Two messages with the same body and properties have it too.
 */
export function digestOf({ body, properties }: ForeignMessage): string {
  const identity = JSON.stringify([properties.messageId ?? null, properties.timestamp ?? null]);
  const hex = createHash("sha256").update(identity).update("\0").update(body).digest("hex");
  const variant = ((Number.parseInt(hex.charAt(0), 16) & 0b11) | 0b1000).toString(16);
  return `${variant}${hex.slice(1, 4)}-${hex.slice(4, 16)}`;
}

/**
 * Makes the id of an adopted email: a UUID of version 7 of the given time, in milliseconds, that ends in the message's
 * digest. So the record can tell under which id a message was adopted before.
 */
export function adoptedId(digest: string, time: number, random = randomInt(RAND_A_MAX)): string {
  const hex = time.toString(16).padStart(12, "0");
  const randA = random.toString(16).padStart(3, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${randA}-${digest}`;
}
