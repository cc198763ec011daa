import { emailIdSchema } from "@wellsent/contract";
import { Problem, type Route } from "@wellsent/http";
import type { Ledger } from "@wellsent/ledger";
import * as z from "zod";
import { PROBLEMS } from "./problems.ts";
import { read } from "./read.ts";

/** The hexadecimal digits of a UUID have no case (RFC 9562 §4). */
const idSchema = z.string().toLowerCase().pipe(emailIdSchema);

/** `GET /emails/{id}`. */
export function emailRoutes(ledger: Pick<Ledger, "emailOf">): Route[] {
  return [
    {
      method: "get",
      path: "/emails/:id",
      operation: {
        operationId: "getEmail",
        summary: "All that is recorded of an email",
        parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
        responses: { 200: { description: "The email, its deliveries and its events" } },
        problems: [PROBLEMS.EMAIL_UNKNOWN, PROBLEMS.REQUEST_INVALID, PROBLEMS.LEDGER_BROKEN],
      },
      handlers: [
        async (request, response) => {
          const email = await describeEmail(ledger, read(idSchema, request.params["id"]));
          response.json(email);
        },
      ],
    },
  ];
}

/** Returns everything recorded of an email. @throws {Problem} EMAIL_UNKNOWN @throws {TransientError} LEDGER_BROKEN */
export async function describeEmail(ledger: Pick<Ledger, "emailOf">, id: string) {
  const email = await ledger.emailOf(id);
  if (!email) throw new Problem(PROBLEMS.EMAIL_UNKNOWN);
  return email;
}
