import * as z from "zod";
import { problemSchema } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";
import { requireJsonAccepted, type Operation, type Route } from "./routes.ts";

/** The parts of the OpenAPI document beside its routes. */
export interface ApiDescription {
  info: object;
  securitySchemes: object;
  /** By their names in the operations, see {@link schemaRef}. */
  schemas: Readonly<Record<string, z.ZodType>>;
}

/** The problems of a request that has no body. */
const BODILESS = [
  HTTP_PROBLEMS.REQUEST_MALFORMED,
  HTTP_PROBLEMS.METHOD_NOT_ALLOWED,
  HTTP_PROBLEMS.NOT_ACCEPTABLE,
  HTTP_PROBLEMS.REQUEST_TIMEOUT,
  HTTP_PROBLEMS.HEADERS_TOO_LARGE,
];

const HEADERS_BY_STATUS: Readonly<Record<number, object>> = {
  401: { "WWW-Authenticate": textHeader("`Bearer`") },
  405: { Allow: textHeader("The methods that the path has") },
  503: { "Retry-After": textHeader("Seconds to wait before the next try") },
};

/** Adds the route `GET /openapi.json`, which describes all routes of the table and itself. */
export function withOpenapi(description: ApiDescription, routes: readonly Route[]): Route[] {
  const operation: Operation = {
    operationId: "getOpenapi",
    summary: "This document",
    responses: {
      200: { description: "OpenAPI 3.1", content: jsonContent({ type: "object" }) },
    },
    problems: BODILESS,
  };
  const path = "/openapi.json";
  const document = describeRoutes(description, [
    ...routes,
    { method: "get", path, operation, handlers: [] },
  ]);
  const handlers: Route["handlers"] = [
    requireJsonAccepted,
    (_request, response) => void response.json(document),
  ];
  return [...routes, { method: "get", path, operation, handlers }];
}

/** Describes a request or response body in JSON. */
export function jsonContent(schema: object): object {
  return { "application/json": { schema } };
}

/** Refers to one of the schemas of {@link ApiDescription}. */
export function schemaRef(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}

/** Describes a header or parameter that is text. */
export function textHeader(description: string): object {
  return { description, schema: { type: "string" } };
}

function describeRoutes(
  { info, securitySchemes, schemas }: ApiDescription,
  routes: readonly Route[],
) {
  const problems = new Set(routes.flatMap(({ operation }) => operation.problems));
  const all = { ...schemas, Problem: problemSchema([...problems]) };
  const described = Object.entries(all).map(([name, schema]) => [name, toJsonSchema(schema)]);
  return {
    openapi: "3.1.1",
    info,
    paths: describePaths(routes),
    components: { securitySchemes, schemas: Object.fromEntries(described) as object },
  };
}

function describePaths(routes: readonly Route[]): object {
  const byPath = Map.groupBy(routes, ({ path }) => path.replaceAll(/:(\w+)/g, "{$1}"));
  const paths = [...byPath].map(([path, ofPath]) => {
    const operations = ofPath.map(({ method, operation }) => [method, describe(operation)]);
    return [path, Object.fromEntries(operations) as object];
  });
  return Object.fromEntries(paths) as object;
}

/** The response of a status lists the codes and titles of its problems. */
function describe({ problems, ...operation }: Operation): object {
  const byStatus = Map.groupBy(problems, ({ status }) => status);
  const responses = [...byStatus].map(([status, kinds]) => {
    const description = kinds.map(({ code, title }) => `\`${code}\`: ${title}`).join("\n\n");
    const headers = {
      "X-Request-Id": textHeader("The request's id"),
      ...HEADERS_BY_STATUS[status],
    };
    const content = { "application/problem+json": { schema: schemaRef("Problem") } };
    return [status, { description, headers, content }];
  });
  const failures = Object.fromEntries(responses) as object;
  return { ...operation, responses: { ...operation.responses, ...failures } };
}

/** Leaves out `$schema`: OpenAPI 3.1 has that dialect by default. */
function toJsonSchema(schema: z.ZodType): object {
  return { ...z.toJSONSchema(schema, { io: "input" }), $schema: undefined };
}
