import { jsonContent, parseJsonBody, readBody, schemaRef, type Route } from "@wellsent/http";
import type { Action } from "../parked/decide.ts";
import {
  listParked,
  pageSchema,
  selectionSchema,
  selects,
  type ListOptions,
} from "../parked/list.ts";
import type { ParkedPasses } from "../parked/pass.ts";
import { PROBLEMS } from "./problems.ts";
import { read } from "./read.ts";

const BODY_MAX_BYTES = 1_048_576;
/** A selection names up to 10,000 ids. */
const VALUES_MAX = 10_100;
const PAGE_PARAMETERS = Object.entries(pageSchema.shape).map(([name, { description }]) => ({
  name,
  in: "query",
  description,
  schema: { type: "string" },
}));

/** Options of {@link parkedRoutes}. */
export interface ParkedRoutesOptions extends ListOptions {
  passes: ParkedPasses;
}

/** The list of parked mail, and the passes that replay or delete it. */
export function parkedRoutes(options: ParkedRoutesOptions): Route[] {
  const { passes } = options;
  return [
    {
      method: "get",
      path: "/parked",
      operation: {
        operationId: "listParked",
        summary: "A page of what is parked, oldest first",
        parameters: PAGE_PARAMETERS,
        responses: { 200: { description: "The page, the number of all, and the next cursor" } },
        problems: [PROBLEMS.REQUEST_INVALID, PROBLEMS.LEDGER_BROKEN],
      },
      handlers: [
        async (request, response) => {
          response.json(await listParked(options, read(pageSchema, request.query)));
        },
      ],
    },
    {
      method: "get",
      path: "/parked/pass",
      operation: {
        operationId: "getPass",
        summary: "The progress of the latest pass, or null",
        responses: { 200: { description: "The progress" } },
        problems: [],
      },
      handlers: [(_request, response) => void response.json(passes.progress() ?? null)],
    },
    passRoute("replay", options),
    passRoute("delete", options),
  ];
}

function passRoute(action: Action, options: ParkedRoutesOptions): Route {
  return {
    method: "post",
    path: `/parked/${action}`,
    operation: {
      operationId: `${action}Parked`,
      summary: `Begins a pass that selects parked deliveries to ${action}`,
      requestBody: { required: true, content: jsonContent(schemaRef("Selection")) },
      responses: { 202: { description: "The pass has begun: its progress" } },
      problems: [
        PROBLEMS.JSON_MALFORMED,
        PROBLEMS.BODY_TOO_LARGE,
        PROBLEMS.REQUEST_INVALID,
        PROBLEMS.PASS_RUNNING,
        PROBLEMS.BROKER_AWAY,
        PROBLEMS.LEDGER_BROKEN,
      ],
    },
    handlers: [
      // The body is JSON whatever its Content-Type, so that `curl -d` needs no header.
      readBody(BODY_MAX_BYTES),
      parseJsonBody(VALUES_MAX),
      async (request, response) => {
        const selection = read(selectionSchema, request.body);
        response.status(202).json(options.passes.begin(action, await selects(options, selection)));
      },
    ],
  };
}
