import * as z from "zod";
import { addressSchema } from "./address.ts";

/** The `type` property of an accepted email, with its schema version. */
export const EMAIL_TYPE = "email.v1";
/** Most recipients of one email. */
export const RECIPIENTS_MAX = 50;
/** RFC 5322 §2.1.1: most characters of a line, and so of a subject. */
export const SUBJECT_MAX = 998;

const subjectSchema = z
  .string()
  .max(SUBJECT_MAX, `must not be longer than ${SUBJECT_MAX} characters`)
  // eslint-disable-next-line no-control-regex -- the pattern excludes control characters
  .regex(/^[^\u0000-\u001f\u007f]*$/, "must not have line breaks or other control characters")
  .refine((text) => text.isWellFormed(), "must not have a lone surrogate")
  .describe("Subject of the mail");

/**
 * Most bytes of a body in UTF-8. JSON can escape one byte as six, and the message then still fits the 16 MiB of RabbitMQ.
 * The limit also bounds the memory of an emailer.
 */
export const BODY_BYTES_MAX = 2_621_440;

const bodySchema = z
  .string()
  .refine(isOfSize, `must not be larger than ${BODY_BYTES_MAX} bytes`)
  .refine((text) => text.isWellFormed(), "must not have a lone surrogate")
  .refine((text) => !text.includes("\0"), "must not have a NUL character")
  .describe("Text of the mail, with line breaks as `\\n` or `\\r\\n`");

const listSchema = z
  .array(addressSchema)
  .min(1, "must have a recipient")
  .max(RECIPIENTS_MAX, `must not have more than ${RECIPIENTS_MAX} recipients`);

const recipientsSchema = z
  .union([addressSchema, listSchema], { error: "must be an address or a list of addresses" })
  .describe(`One address, or a list of 1 to ${RECIPIENTS_MAX}; every recipient sees the list`);

/** RFC 3339 §5.6 allows `t` and `z` in lower case. The output has capitals. */
const timeSchema = z
  .string()
  .meta({ format: "date-time" })
  .transform((text) => text.toUpperCase())
  .pipe(z.iso.datetime({ offset: true, error: "must be a time such as 2026-11-23T18:00:00Z" }));

/**
 * The body of an accepted email on the exchange `emails`, with the article's three fields at the top level. Unknown fields
 * are dropped.
 */
export const emailSchema = z.object({
  toaddr: recipientsSchema,
  subject: subjectSchema,
  body: bodySchema,
  expiresAt: timeSchema.optional().describe("After this time the email is not sent, but parked"),
});

/** An accepted email. */
export type Email = z.output<typeof emailSchema>;

/** Returns the recipients of an email in order. The index of a recipient is part of its delivery id. */
export function recipientsOf({ toaddr }: Pick<Email, "toaddr">): readonly string[] {
  return typeof toaddr === "string" ? [toaddr] : toaddr;
}

function isOfSize(text: string): boolean {
  return Buffer.byteLength(text) <= BODY_BYTES_MAX;
}
