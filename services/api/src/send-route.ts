import type { Publication, PublishRefused } from "@posthorn/chassis";
import {
  EMAIL_TYPE,
  EMAILS_EXCHANGE,
  newEmailId,
  timeOfEmailId,
  traceOf,
  type Email,
} from "@posthorn/contract";
import type { RequestHandler } from "express";
import { fieldErrors } from "./field-errors.ts";
import type { ApiMetrics } from "./metrics.ts";
import { Problem, toProblem } from "./problem.ts";
import { createSendSchema, isTooLarge } from "./send-schema.ts";

/** Options of {@link createSendRoute}. */
export interface SendOptions {
  /** Resolves when the broker has stored the message. @throws {PublishRefused | PublishUnknown} */
  publish: (publication: Publication) => Promise<void>;
  /** Why nothing would be accepted at this moment. */
  refusal: () => PublishRefused | undefined;
  bodyMaxBytes: number;
  metrics: Pick<ApiMetrics, "accepted">;
}

/** `POST /send`: validates an email, publishes it once, and answers 202 when it is stored. */
export function createSendRoute(options: SendOptions): RequestHandler {
  const { publish, refusal, bodyMaxBytes, metrics } = options;
  const schema = createSendSchema(bodyMaxBytes);
  return async (request, response) => {
    const given: unknown = request.body;
    const email = validate(schema, given);
    const refused = refusal();
    if (refused) throw refused;
    const id = newEmailId();
    await publish(toPublication(id, email, request.get("traceparent"))).catch((error: unknown) => {
      throw toProblem(error, id);
    });
    metrics.accepted.inc();
    const answer = { ...(given as object), id, status: "accepted" };
    response.status(202).location(`/emails/${id}`).json(answer);
  };
}

function validate(schema: ReturnType<typeof createSendSchema>, given: unknown): Email {
  const { success, data, error } = schema.safeParse(given, { reportInput: true });
  if (success) return data;
  const code = error.issues.some(isTooLarge) ? "BODY_TOO_LARGE" : "EMAIL_INVALID";
  throw new Problem(code, { errors: fieldErrors(error.issues) });
}

function toPublication(id: string, email: Email, traceparent?: string): Publication {
  return {
    exchange: EMAILS_EXCHANGE,
    routingKey: "",
    body: Buffer.from(JSON.stringify(email)),
    messageId: id,
    type: EMAIL_TYPE,
    timestamp: timeOfEmailId(id),
    headers: traceOf(traceparent),
  };
}
