import { jsonContent, schemaRef, textHeader, type Operation } from "@wellsent/http";
import { PROBLEMS } from "../problems.ts";

/** How the OpenAPI document describes `POST /send`. */
export const sendOperation: Operation = {
  operationId: "send",
  summary: "Send an email",
  description: "Answers 202 when the broker has stored the email; it is sent after that.",
  security: [{ key: [] }, {}],
  parameters: [
    {
      name: "X-Request-Id",
      in: "header",
      ...textHeader("Up to 128 letters, digits, dots, dashes or underscores; returned"),
    },
    {
      name: "traceparent",
      in: "header",
      ...textHeader("W3C Trace Context; travels with the email"),
    },
  ],
  requestBody: { required: true, content: jsonContent(schemaRef("Send")) },
  responses: {
    202: {
      description: "Accepted: the request's body, with the email's id",
      headers: { "X-Request-Id": textHeader("The request's id") },
      content: jsonContent(schemaRef("Accepted")),
    },
  },
  problems: Object.values(PROBLEMS),
};
