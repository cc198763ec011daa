import { setTimeout as sleep } from "node:timers/promises";
import type { Publication } from "@wellsent/amqp";
import { Problem, type RequestHandler } from "@wellsent/http";
import type { PublishRefused } from "@wellsent/runtime";
import { EMAILS_EXCHANGE, newEmailId, toEmailMessage, type Email } from "@wellsent/contract";
import type { ApiMetrics } from "../metrics.ts";
import { PROBLEMS, publishProblem } from "../problems.ts";
import { createSendSchema, fieldErrors, isTooLarge } from "./schema.ts";

/** What is over in a second or two when one node of several goes. */
const PASSING = new Set(["AMQP_DISCONNECTED", "TOPOLOGY_UNVERIFIED"]);
/** Requests that may wait for that, each with its body in memory. */
const WAITING_MAX = 200;
const LOOK_MS = 50;

/** Options of {@link createSendHandler}. */
export interface SendOptions {
  /** Resolves when the broker has stored the message. @throws {PublishRefused | PublishUnknown} */
  publish: (publication: Publication) => Promise<void>;
  /** Why nothing would be accepted at this moment. */
  refusal: () => PublishRefused | undefined;
  bodyMaxBytes: number;
  /** How long a send waits for a broker that is changing nodes, in milliseconds. */
  patienceMs: number;
  metrics: Pick<ApiMetrics, "accepted">;
}

/** `POST /send`: validates an email, publishes it once, and answers 202 when it is stored. */
export function createSendHandler(options: SendOptions): RequestHandler {
  const { publish, bodyMaxBytes, metrics } = options;
  const patient = createPatience(options);
  const schema = createSendSchema(bodyMaxBytes);
  return async (request, response) => {
    const given: unknown = request.body;
    const email = validate(schema, given);
    const refused = await patient(() => response.destroyed);
    if (refused) throw refused;
    // Whoever gave up has been told nothing, and sends again.
    if (response.destroyed) return;
    const id = newEmailId();
    const message = toEmailMessage(id, email, request.get("traceparent"));
    const way = { exchange: EMAILS_EXCHANGE, routingKey: "", messageId: id };
    await publish({ ...message, ...way }).catch((error: unknown) => {
      throw publishProblem(error, id) ?? error;
    });
    metrics.accepted.inc();
    const answer = { ...(given as object), id, status: "accepted" };
    response.status(202).json(answer);
  };
}

/** Refuses what would be refused, whatever its body is. */
export function refuseAtOnce({ refusal }: Pick<SendOptions, "refusal">): RequestHandler {
  return (_request, _response, next) => {
    const refused = refusal();
    if (refused && !PASSING.has(refused.code)) throw refused;
    next();
  };
}

/** Waits, with few others, for what passes by itself in a moment; resolves to why nothing is accepted after that. */
function createPatience({ refusal, patienceMs }: SendOptions) {
  let waiting = 0;
  return async (isGone: () => boolean): Promise<PublishRefused | undefined> => {
    const until = performance.now() + patienceMs;
    const lasts = () => performance.now() < until && !isGone();
    const passes = () => PASSING.has(refusal()?.code ?? "") && lasts();
    if (!passes() || waiting >= WAITING_MAX) return refusal();
    waiting += 1;
    while (passes()) await sleep(LOOK_MS);
    waiting -= 1;
    return refusal();
  };
}

function validate(schema: ReturnType<typeof createSendSchema>, given: unknown): Email {
  const { success, data, error } = schema.safeParse(given, { reportInput: true });
  if (success) return data;
  const tooLarge = error.issues.some(isTooLarge);
  const kind = tooLarge ? PROBLEMS.BODY_TOO_LARGE : PROBLEMS.EMAIL_INVALID;
  throw new Problem(kind, { errors: fieldErrors(error.issues) });
}
