import { emailIdSchema } from "@wellsent/contract";
import * as z from "zod";
import document from "../openapi.json" with { type: "json" };
import manifest from "../package.json" with { type: "json" };
import { PROBLEMS, problemSchema } from "./problem.ts";
import { createSendSchema } from "./send/schema.ts";

const PROBLEM_HEADERS: Readonly<Record<number, object>> = {
  401: { "WWW-Authenticate": text("`Bearer`") },
  405: { Allow: text("The methods that the path takes") },
  503: { "Retry-After": text("Seconds to wait before the next try") },
};

/**
 * Describes the API in OpenAPI 3.1. What a person wrote of it stands in openapi.json; the schemas are those that it
 * validates with, and the problems those that it answers.
 */
export function createOpenapi(bodyMaxBytes: number): object {
  const send = createSendSchema(bodyMaxBytes);
  const accepted = send.extend({ id: emailIdSchema, status: z.literal("accepted") });
  const { "/send": sending, "/openapi.json": describing } = document.paths;
  const ofSending = Object.values(PROBLEMS).map(({ status }) => status);
  return {
    ...document,
    info: { ...document.info, version: manifest.version },
    paths: {
      "/send": { post: withProblems(sending.post, ofSending) },
      "/openapi.json": { get: withProblems(describing.get, [400, 405, 406, 408, 431]) },
    },
    components: {
      ...document.components,
      schemas: {
        Send: toJsonSchema(send),
        Accepted: toJsonSchema(accepted),
        Problem: toJsonSchema(problemSchema),
      },
    },
  };
}

/** An operation that may answer problems too: the response of a status lists the codes and titles that go with it. */
function withProblems(operation: { responses: object }, statuses: readonly number[]): object {
  const schema = { $ref: "#/components/schemas/Problem" };
  const problems = statuses.map((status) => {
    const kinds = Object.entries(PROBLEMS).filter(([, kind]) => kind.status === status);
    const description = kinds.map(([code, { title }]) => `\`${code}\`: ${title}`).join("\n\n");
    const headers = { "X-Request-Id": text("The request's id"), ...PROBLEM_HEADERS[status] };
    return [status, { description, headers, content: { "application/problem+json": { schema } } }];
  });
  const responses = { ...operation.responses, ...(Object.fromEntries(problems) as object) };
  return { ...operation, responses };
}

function text(description: string): object {
  return { description, schema: { type: "string" } };
}

/** n.b. `$schema` is the dialect that OpenAPI 3.1 has by default. */
function toJsonSchema(schema: z.ZodType): object {
  return { ...z.toJSONSchema(schema, { io: "input" }), $schema: undefined };
}
