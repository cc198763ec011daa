import { randomUUIDv7 } from "node:crypto";
import * as z from "zod";

/** UUID version 7 (RFC 9562 §5.7), up to the year 9774. Later times have no valid date. */
const UUID_V7 = "[0-9a-d][0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const EMAIL_ID = new RegExp(`^${UUID_V7}$`);
const DELIVERY_ID = new RegExp(`^(${UUID_V7})\\.(0|[1-9]\\d{0,4})\\.(0|[1-9]\\d{0,4})$`);
const NO_DELIVERY_ID =
  "must be an email id, a recipient index and a generation, with dots between them";

/** The id of an email, which is the `messageId` of its message: UUID version 7 (RFC 9562 §5.7). */
export const emailIdSchema = z.string().regex(EMAIL_ID, "must be a UUID of version 7");

/** The id of a delivery: `emailId.recipientIndex.generation`. A replay is a new generation. */
export const deliveryIdSchema = z.string().regex(DELIVERY_ID, NO_DELIVERY_ID);

/** The parts of a delivery id. */
export interface DeliveryId {
  email: string;
  recipient: number;
  generation: number;
}

/** Writes a delivery id. */
export function formatDeliveryId({ email, recipient, generation }: DeliveryId): string {
  return `${email}.${recipient}.${generation}`;
}

/** Reads a delivery id. Returns undefined for any other text. */
export function parseDeliveryId(text: unknown): DeliveryId | undefined {
  const [, email, recipient, generation] = DELIVERY_ID.exec(String(text)) ?? [];
  if (email === undefined) return undefined;
  return { email, recipient: Number(recipient), generation: Number(generation) };
}

/** Whether a messageId is an email id. */
export function isEmailId(text: unknown): text is string {
  return typeof text === "string" && EMAIL_ID.test(text);
}

/** Returns a new id, for example of an email, an event or a query. */
export function newId(): string {
  return randomUUIDv7();
}

/** Returns when an email id was created. Milliseconds since the epoch. */
export function timeOfEmailId(id: string): number {
  return Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
}
