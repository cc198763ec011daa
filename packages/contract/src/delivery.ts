import { randomUUIDv7 } from "node:crypto";
import * as z from "zod";
import { EMAILER_QUEUE, isAttemptQueue } from "./topology.ts";

/** n.b. one that begins with e or f is of a time after the year 9774, or of none; the record could not write it as a date. */
const UUID_V7 = "[0-9a-d][0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const EMAIL_ID = new RegExp(`^${UUID_V7}$`);
const DELIVERY_ID = new RegExp(`^(${UUID_V7})\\.(0|[1-9]\\d{0,4})\\.(0|[1-9]\\d{0,4})$`);
const NO_DELIVERY_ID =
  "must be an email's id, a recipient's index and a generation, with dots between";

/** The header that marks a message whose delivery may have been made before. */
export const MAYBE_DUPLICATE = "x-maybe-duplicate";

/** The header of a parked email that was never split: it is all its recipients' delivery. */
export const PARKED_WHOLE = "x-parked-whole";

/** An email's id: UUID version 7 (RFC 9562 §5.7), its messageId. */
export const emailIdSchema = z.string().regex(EMAIL_ID, "must be a UUID of version 7");

/** A delivery's id, `emailId.recipientIndex.generation`; a replay is a new generation. */
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

/** Reads a delivery id; undefined when it is none. */
export function parseDeliveryId(text: unknown): DeliveryId | undefined {
  const [, email, recipient, generation] = DELIVERY_ID.exec(String(text)) ?? [];
  if (email === undefined) return undefined;
  return { email, recipient: Number(recipient), generation: Number(generation) };
}

/** Whether a messageId is an email id of ours. */
export function isEmailId(text: unknown): text is string {
  return typeof text === "string" && EMAIL_ID.test(text);
}

/** Makes an email id, or an event's. */
export function newEmailId(): string {
  return randomUUIDv7();
}

/** The moment an email id was made, in milliseconds since the epoch. */
export function timeOfEmailId(id: string): number {
  return Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
}

/** What a broker counted of a message, as far as it bears on attempts and crashes. */
export interface Counted {
  headers: Readonly<Record<string, unknown>>;
  /** Such as `3.10.8`. */
  brokerVersion: string;
}

/**
 * Which attempt this delivery is, 1 for the first: one more than the emailer has rejected, in whichever of its queues, so
 * that no two have the same number though the schedule changes. Counted by the broker, immune to clocks; a relay's outage
 * consumes none.
 */
export function attemptOf({ headers }: Pick<Counted, "headers">): number {
  return 1 + rejections(headers, (queue) => queue === EMAILER_QUEUE || isAttemptQueue(queue));
}

/**
 * How often a consumer died or lost its connection with this message in its hands.
 * From 4.0 on `x-delivery-count` goes along the ladder and counts rejections too; before, each queue counts anew.
 */
export function crashesOf({ headers, brokerVersion }: Counted): number {
  const count = counted(headers["x-delivery-count"]);
  const carried = Number.parseInt(brokerVersion, 10) >= 4;
  return Math.max(0, carried ? count - rejections(headers) : count);
}

/** How often, by what `x-death` says, a message was rejected in such queues. */
function rejections(headers: Counted["headers"], isOne: (queue: string) => boolean = () => true) {
  const deaths: unknown[] = Array.isArray(headers["x-death"]) ? headers["x-death"] : [];
  return deaths
    .filter((death) => typeof death === "object" && death !== null)
    .map((death) => death as Record<string, unknown>)
    .filter(({ reason, queue: died }) => reason === "rejected" && isOne(String(died)))
    .reduce((sum, { count }) => sum + counted(count), 0);
}

/** A broker's count. Headers of a first delivery are as its publisher set them, so this may be anything. */
function counted(count: unknown): number {
  return typeof count === "number" && count > 0 ? count : 0;
}
