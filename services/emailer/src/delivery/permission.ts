import type { Settlement } from "@wellsent/amqp";
import { formatDeliveryId, LEASE_MS, type Answer } from "@wellsent/contract";
import type { EmailerMetrics } from "../metrics.ts";
import type { Attempt } from "./attempt.ts";
import type { AskOptions } from "./guard.ts";

/**
 * How long a copy in doubt waits before it is sent, in milliseconds. An emailer that lost only its connections is connected
 * again and has announced its transfers by then; the lease of one that crashed has lapsed.
 */
const HEARSAY_MS = LEASE_MS + 1_000;
/** A permission older than this is asked for again when a relay admits the mail, in milliseconds. */
const FRESH_MS = 3_000;
/** A delivery whose last event is one of these has not ended. */
const OPEN: readonly Answer["last"][] = [null, "email.accepted", "email.deferred"];

/** What asking for permission needs. */
export interface PermissionOptions {
  /** Asks what is recorded of a delivery; undefined when nobody answers. */
  ask: (delivery: string, options: AskOptions) => Promise<Answer | undefined>;
  /** Waits, in milliseconds. @throws {Error} AbortError when the message's channel is lost, or the emailer stops */
  wait: (ms: number, signal: AbortSignal) => Promise<void>;
  metrics: Pick<EmailerMetrics, "suppressed" | "unanswered">;
}

/**
 * Asks whether an attempt may be made, before it waits for a relay. Resolves to a settlement if it may not: the delivery has
 * ended, or another emailer holds its lease.
 */
export async function askBefore(
  attempt: Attempt,
  options: PermissionOptions,
): Promise<Settlement | undefined> {
  if (attempt.doubt === "none") return undefined;
  return (await hearOthers(attempt, options)) ?? (await acquire(attempt, options));
}

/** Asks again when a relay admits the mail, if the permission is old: another copy may have been sent meanwhile. */
export async function askAtAdmission(
  attempt: Attempt,
  options: PermissionOptions,
): Promise<Settlement | undefined> {
  const isFresh = performance.now() - attempt.permittedAt < FRESH_MS;
  return isFresh ? undefined : acquire(attempt, options);
}

/**
 * Gives the emailer that had a copy time to record the outcome, or to announce that a relay has the mail. Resolves to a
 * settlement if the delivery has ended already.
 */
export async function hearOthers(
  attempt: Attempt,
  options: PermissionOptions,
): Promise<Settlement | undefined> {
  if (attempt.doubt !== "copy" || attempt.isHeard) return undefined;
  attempt.isHeard = true;
  const answer = await ask(attempt, false, options);
  if (!answer) return undefined;
  if (!OPEN.includes(answer.last)) return suppress(options);
  await options.wait(HEARSAY_MS, attempt.delivery.signal);
  return undefined;
}

async function acquire(
  attempt: Attempt,
  options: PermissionOptions,
): Promise<Settlement | undefined> {
  const answer = await ask(attempt, true, options);
  if (!answer) options.metrics.unanswered.inc();
  if (answer && !OPEN.includes(answer.last)) return suppress(options);
  if (answer?.leased) return "reject";
  attempt.isLeased = answer !== undefined;
  learn(attempt, answer);
  return undefined;
}

/**
 * Takes over what the record knows. Without its word, an attempt that may be a second one is flagged. A first copy needs no
 * flag: every other copy of its delivery is marked or redelivered, and flagged itself.
 */
function learn(attempt: Attempt, answer: Answer | undefined): void {
  attempt.permittedAt = performance.now();
  const isKnown = answer?.whole === true;
  attempt.possibleDuplicate ||=
    answer?.possibleDuplicate === true || (!isKnown && attempt.doubt !== "none");
  if (isKnown && answer.attempts !== undefined) attempt.number = answer.attempts + 1;
}

function ask({ id, doubt, delivery }: Attempt, acquire: boolean, options: PermissionOptions) {
  const isPatient = doubt === "copy";
  return options.ask(formatDeliveryId(id), { acquire, isPatient, signal: delivery.signal });
}

function suppress({ metrics }: PermissionOptions): Settlement {
  metrics.suppressed.inc();
  return "ack";
}
