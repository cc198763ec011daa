import type * as z from "zod";
import { EMAIL_TYPE, emailSchema, type Email } from "./email.ts";
import { MAYBE_DUPLICATE } from "./attempts.ts";
import { isEmailId, parseDeliveryId, timeOfEmailId, type DeliveryId } from "./ids.ts";
import { hasTooManyValues, VALUES_MAX } from "./json-size.ts";
import { OUTCOME_TYPE, outcomeSchema, type Outcome } from "./outcome.ts";
import { OUTCOMES_EXCHANGE } from "./topology.ts";

/** W3C Trace Context §3.2: version, trace id and parent id (neither all zero), flags. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/;

/** Returns the `traceparent` header if it is valid, otherwise nothing. An invalid value may have bytes that AMQP cannot encode. */
export function traceOf(traceparent: unknown): { traceparent?: string } {
  return typeof traceparent === "string" && TRACEPARENT.test(traceparent) ? { traceparent } : {};
}

/** The parts of a message that are needed to read it. */
export interface Message {
  body: Buffer;
  properties: { messageId?: unknown; type?: unknown };
}

/** A message that cannot be read, and the reason, which does not quote the message. */
export type Unreadable =
  | { kind: "malformed"; code: "MESSAGE_NOT_JSON" | "MESSAGE_SCHEMA"; reason: string }
  | { kind: "newer"; code: "MESSAGE_VERSION_UNKNOWN"; reason: string };

/** The result of reading a message with an email. */
export type EmailMessage =
  | { kind: "email"; id: string; email: Email }
  | { kind: "delivery"; id: DeliveryId; email: Email }
  | { kind: "foreign"; email: Email }
  | Unreadable;

/**
 * Reads an email: an accepted email (its messageId is an email id), the delivery to one recipient (a delivery id), or a
 * foreign email, which has no id of ours and is adopted later.
 */
export function readEmail({ body, properties }: Message): EmailMessage {
  const { messageId, type } = properties;
  const delivery = parseDeliveryId(messageId);
  if (isOfKind("email", type) && type !== EMAIL_TYPE) return newer(type);
  const email = parse(body, emailSchema);
  if ("kind" in email) return email;
  const { toaddr, subject, body: text } = email.value;
  if (!isOurs(properties)) return { kind: "foreign", email: { toaddr, subject, body: text } };
  if (!delivery) return { kind: "email", id: messageId as string, email: email.value };
  return { kind: "delivery", id: delivery, email: email.value };
}

/** Whether a message has an email id or a delivery id, and the type of an email. */
export function isOurs({ messageId, type }: Message["properties"]): boolean {
  const id = parseDeliveryId(messageId) !== undefined || isEmailId(messageId);
  return id && isOfKind("email", type);
}

/** Whether the type of a message is a version of this schema. */
export function isOfKind(schema: string, type: unknown): type is string {
  return typeof type === "string" && type.startsWith(`${schema}.v`);
}

/**
 * Returns the message of an email with a new id. `maybeDuplicate`: another copy of the email may exist. The message is also
 * marked so when it is published again, because the broker may have stored it before.
 */
export function toEmailMessage(
  id: string,
  email: Email,
  traceparent?: unknown,
  maybeDuplicate = false,
) {
  return {
    type: EMAIL_TYPE,
    timestamp: timeOfEmailId(id),
    headers: { ...traceOf(traceparent), ...(maybeDuplicate && { [MAYBE_DUPLICATE]: true }) },
    retryHeaders: { [MAYBE_DUPLICATE]: true },
    body: Buffer.from(JSON.stringify(email)),
  };
}

/** Returns the message of an outcome. `messageId`: the id of the event, which stays the same if it is published again. */
export function toOutcomeMessage(messageId: string, outcome: Outcome) {
  const address = { exchange: OUTCOMES_EXCHANGE, routingKey: outcome.kind };
  return { ...address, messageId, type: OUTCOME_TYPE, body: Buffer.from(JSON.stringify(outcome)) };
}

/** Reads an outcome. A query or a lease of another version comes the same way, and is held like an outcome of one. */
export function readOutcome({ body, properties: { type } }: Message) {
  const isVersioned = ["outcome", "query", "lease"].some((kind) => isOfKind(kind, type));
  if (isVersioned && type !== OUTCOME_TYPE) return newer(String(type));
  const outcome = parse(body, outcomeSchema);
  return "kind" in outcome ? outcome : { kind: "outcome" as const, outcome: outcome.value };
}

/** Reads a query or an answer; undefined when it is none. */
export function readAs<S extends z.ZodType>(schema: S, body: Buffer): z.output<S> | undefined {
  const result = parse(body, schema);
  return "kind" in result ? undefined : result.value;
}

function parse<S extends z.ZodType>(body: Buffer, schema: S): { value: z.output<S> } | Unreadable {
  if (hasTooManyValues(body)) {
    const reason = `The body has more than ${VALUES_MAX} values`;
    return { kind: "malformed", code: "MESSAGE_SCHEMA", reason };
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return { kind: "malformed", code: "MESSAGE_NOT_JSON", reason: "The body is not JSON in UTF-8" };
  }
  const result = schema.safeParse(json);
  if (result.success) return { value: result.data };
  const faults = faultsIn(result.error.issues).slice(0, 5);
  const reasons = faults.map(({ path, issue }) => `${path.join(".") || "body"} ${issue.message}`);
  return { kind: "malformed", code: "MESSAGE_SCHEMA", reason: reasons.join("; ") };
}

/** Quotes the type only if it has the form of a version: another type may contain any text, for example an address. */
function newer(type: string): Unreadable {
  const version = /^[a-z]+\.v[\d.]{1,9}$/.test(type) ? ` ${type}` : "";
  const reason = `The message is of the unknown type${version}`;
  return { kind: "newer", code: "MESSAGE_VERSION_UNKNOWN", reason };
}

/** A fault that zod found, with its path in the whole value. */
export interface SchemaFault {
  path: readonly PropertyKey[];
  issue: z.core.$ZodIssue;
}

type Issues = readonly z.core.$ZodIssue[];

/** Returns the faults that zod found. For a union, these are the faults of the alternative with the right type. */
export function faultsIn(issues: Issues, above: readonly PropertyKey[] = []): SchemaFault[] {
  return issues.flatMap((issue) => {
    const path = [...above, ...issue.path];
    const meant = issue.code === "invalid_union" && issue.errors.find(isOfRightType);
    return meant ? faultsIn(meant, path) : { path, issue };
  });
}

function isOfRightType(issues: Issues): boolean {
  return !issues.some(({ code, path }) => code === "invalid_type" && path.length === 0);
}
