import { emailSchema, faultsIn, recipientsOf, type SchemaFault } from "@wellsent/contract";
import type { ProblemMembers } from "@wellsent/http";
import * as z from "zod";

/** The invalid fields, for example `toaddr[3]`, and the reasons, never the values. */
type FieldErrors = NonNullable<ProblemMembers["errors"]>;

/** The client chooses the names of unknown fields, so their number and length are limited. */
const ERRORS_MAX = 20;
const NAME_MAX = 100;
/** The name of the whole body, for a body that is not an object. */
const ROOT = "$";
const TOO_LARGE = { tooLarge: true };

/** Creates the schema of the body of `POST /send`: an email of the contract, without other fields. */
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
      .describe(`${toaddr.description ?? "Recipients"}; no address may be repeated`),
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

/** Whether the body of the email is too large, which is answered with 413 instead of 422. */
export function isTooLarge(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params === TOO_LARGE;
}

/** Returns the invalid fields. The issues must come from a parse with `reportInput`. */
export function fieldErrors(issues: readonly z.core.$ZodIssue[]): FieldErrors {
  return faultsIn(issues).flatMap(toFieldErrors).slice(0, ERRORS_MAX);
}

function toFieldErrors({ path, issue }: SchemaFault): FieldErrors {
  if (issue.code !== "unrecognized_keys") return [{ field: nameOf(path), reason: reasonOf(issue) }];
  const keys = issue.keys.slice(0, ERRORS_MAX);
  return keys.map((key) => ({ field: nameOf([...path, key]), reason: "is not a known field" }));
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.input === undefined && issue.code.startsWith("invalid_")) return "is required";
  return issue.code === "invalid_type" ? `must be a JSON ${issue.expected}` : issue.message;
}

/** Returns the name of a field, for example `toaddr[3]`. */
function nameOf(path: readonly PropertyKey[]): string {
  const parts = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`));
  return parts.join("").slice(1, NAME_MAX + 1) || ROOT;
}
