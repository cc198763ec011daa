import type { Publication } from "@wellsent/amqp";
import { EMAILS_EXCHANGE, newId, toEmailMessage, type Email } from "@wellsent/contract";
import { Problem, type RequestHandler } from "@wellsent/http";
import type { ApiMetrics } from "../metrics.ts";
import { PROBLEMS, publishProblem } from "../problems.ts";
import type { Admission } from "./admission.ts";
import { createSendSchema, fieldErrors, isTooLarge } from "./schema.ts";

/** Options of {@link createSendHandler}. */
export interface SendOptions {
  /** Resolves when the broker has stored the message. @throws {PublishRefused | PublishUnknown} */
  publish: (publication: Publication) => Promise<void>;
  admission: Pick<Admission, "wait">;
  bodyMaxBytes: number;
  metrics: Pick<ApiMetrics, "accepted">;
}

/** Creates the handler of `POST /send`: it validates an email, publishes it, and answers 202 when the broker has stored it. */
export function createSendHandler(options: SendOptions): RequestHandler {
  const { publish, admission, bodyMaxBytes, metrics } = options;
  const schema = createSendSchema(bodyMaxBytes);
  return async (request, response) => {
    const given: unknown = request.body;
    const email = validate(schema, given);
    const refused = await admission.wait(() => response.destroyed);
    if (refused) throw refused;
    // A client that disconnected while it waited has no answer and sends the email again.
    if (response.destroyed) return;
    const id = newId();
    const message = toEmailMessage(id, email, request.get("traceparent"));
    const address = { exchange: EMAILS_EXCHANGE, routingKey: "", messageId: id };
    await publish({ ...message, ...address }).catch((error: unknown) => {
      throw publishProblem(error, id) ?? error;
    });
    metrics.accepted.inc();
    const answer = { ...(given as object), id, status: "accepted" };
    response.status(202).json(answer);
  };
}

function validate(schema: ReturnType<typeof createSendSchema>, given: unknown): Email {
  const { success, data, error } = schema.safeParse(given, { reportInput: true });
  if (success) return data;
  const tooLarge = error.issues.some(isTooLarge);
  const kind = tooLarge ? PROBLEMS.BODY_TOO_LARGE : PROBLEMS.EMAIL_INVALID;
  throw new Problem(kind, { errors: fieldErrors(error.issues) });
}
