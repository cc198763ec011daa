import { emailSchema, faultsIn, recipientsOf, type SchemaFault } from "@wellsent/contract";
import type { ProblemMembers } from "@wellsent/http";
import * as z from "zod";

/** Fields at fault, such as `toaddr[3]`, and the reasons; never their values. */
type FieldErrors = NonNullable<ProblemMembers["errors"]>;

/** Unknown fields' names are the client's, so their number and length are bounded. */
const ERRORS_MAX = 20;
const NAME_MAX = 100;
/** The whole body, where it is not an object. */
const ROOT = "$";
const TOO_LARGE = { tooLarge: true };

/** The body of `POST /send`: the contract's email, and nothing else. */
export function createSendSchema(bodyMaxBytes: number) {
  const { toaddr, subject, body, expiresAt } = emailSchema.shape;
  return z.strictObject({
    toaddr: toaddr
      .superRefine((given, context) => {
        recipientsOf({ toaddr: given }).forEach((address, index, all) => {
          const first = all.indexOf(address);
          const message = `repeats toaddr[${first}]`;
          if (first < index) context.addIssue({ code: "custom", path: [index], message });
        });
      })
      .describe(`${toaddr.description ?? "Recipients"}; none may be in it twice`),
    subject,
    expiresAt: expiresAt.refine(isAhead, "must be in the future"),
    body: body
      .refine((text) => Buffer.byteLength(text) <= bodyMaxBytes, {
        message: `must not be longer than ${bodyMaxBytes} bytes`,
        params: TOO_LARGE,
      })
      .describe(`${body.description ?? "Body"}; at most ${bodyMaxBytes} bytes of UTF-8`),
  });
}

function isAhead(time = ""): boolean {
  return !(Date.parse(time) <= Date.now());
}

/** Whether a fault is that the body is too large, which is 413 rather than 422. */
export function isTooLarge(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params === TOO_LARGE;
}

/** Names the fields at fault. The issues must come from a parse with `reportInput`. */
export function fieldErrors(issues: readonly z.core.$ZodIssue[]): FieldErrors {
  return faultsIn(issues).flatMap(explain).slice(0, ERRORS_MAX);
}

function explain({ path, issue }: SchemaFault): FieldErrors {
  if (issue.code !== "unrecognized_keys") return [{ field: nameOf(path), reason: reasonOf(issue) }];
  const keys = issue.keys.slice(0, ERRORS_MAX);
  return keys.map((key) => ({ field: nameOf([...path, key]), reason: "is not a known field" }));
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.input === undefined && issue.code.startsWith("invalid_")) return "is required";
  return issue.code === "invalid_type" ? `must be a JSON ${issue.expected}` : issue.message;
}

/** Such as `toaddr[3]`. */
function nameOf(path: readonly PropertyKey[]): string {
  const parts = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`));
  return parts.join("").slice(1, NAME_MAX + 1) || ROOT;
}
