import { emailIdSchema } from "@posthorn/contract";
import { z } from "zod";
import manifest from "../package.json" with { type: "json" };
import { PROBLEMS, problemSchema } from "./problem.ts";
import { createSendSchema } from "./send-schema.ts";

const REQUEST_ID = { "X-Request-Id": text("The request's id") };
const PROBLEM_HEADERS: Readonly<Record<number, object>> = {
  401: { "WWW-Authenticate": text("`Bearer`") },
  405: { Allow: text("The methods that the path takes") },
  503: { "Retry-After": text("Seconds to wait before the next try") },
};

/** Describes the API in OpenAPI 3.1, from the schemas that it validates with. */
export function createOpenapi(bodyMaxBytes: number): object {
  const send = createSendSchema(bodyMaxBytes);
  const accepted = send.extend({ id: emailIdSchema, status: z.literal("accepted") });
  return {
    openapi: "3.1.1",
    info: {
      title: "Posthorn",
      version: manifest.version,
      description: "Transactional email you can trust, on your own cluster",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: {
      "/send": { post: describeSend() },
      "/openapi.json": {
        get: {
          operationId: "getOpenapi",
          summary: "This document",
          responses: {
            200: { description: "OpenAPI 3.1", ...json({ type: "object" }) },
            ...describeProblems([400, 405, 406, 408, 431]),
          },
        },
      },
    },
    components: {
      schemas: {
        Send: toJsonSchema(send),
        Accepted: toJsonSchema(accepted),
        Problem: toJsonSchema(problemSchema),
      },
      securitySchemes: {
        key: { type: "http", scheme: "bearer", description: "Unless the API is anonymous" },
      },
    },
  };
}

function describeSend(): object {
  return {
    operationId: "send",
    summary: "Send an email",
    description: "Answers 202 when the email is stored by the broker; sending follows.",
    security: [{ key: [] }, {}],
    parameters: [
      header("X-Request-Id", "Up to 128 letters, digits, dots, dashes or underscores; returned"),
      header("traceparent", "W3C Trace Context; goes along with the email"),
    ],
    requestBody: { required: true, ...json(ref("Send")) },
    responses: {
      202: {
        description: "Accepted: what was sent, with its id",
        headers: { ...REQUEST_ID, Location: text("`/emails/{id}`, on the logger's internal port") },
        ...json(ref("Accepted")),
      },
      ...describeProblems(Object.values(PROBLEMS).map(({ status }) => status)),
    },
  };
}

/** The response of a status lists the codes and titles that go with it. */
function describeProblems(statuses: readonly number[]): object {
  const responses = statuses.map((status) => {
    const kinds = Object.entries(PROBLEMS).filter(([, kind]) => kind.status === status);
    const description = kinds.map(([code, { title }]) => `\`${code}\`: ${title}`).join("\n\n");
    const headers = { ...REQUEST_ID, ...PROBLEM_HEADERS[status] };
    const content = { "application/problem+json": { schema: ref("Problem") } };
    return [status, { description, headers, content }];
  });
  return Object.fromEntries(responses) as object;
}

function header(name: string, description: string): object {
  return { name, in: "header", ...text(description) };
}

function text(description: string): object {
  return { description, schema: { type: "string" } };
}

function json(schema: object): object {
  return { content: { "application/json": { schema } } };
}

function ref(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

/** n.b. `$schema` is the dialect that OpenAPI 3.1 has by default. */
function toJsonSchema(schema: z.ZodType): object {
  return { ...z.toJSONSchema(schema, { io: "input" }), $schema: undefined };
}
