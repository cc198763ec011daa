import { emailSchema, recipientsOf } from "@posthorn/contract";
import { z } from "zod";

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
    expiresAt: expiresAt.refine(
      (time) => !(Date.parse(time ?? "") <= Date.now()),
      "must be in the future",
    ),
    body: body
      .refine((text) => Buffer.byteLength(text) <= bodyMaxBytes, {
        message: `must not be longer than ${bodyMaxBytes} bytes`,
        params: TOO_LARGE,
      })
      .describe(`${body.description ?? "Body"}; at most ${bodyMaxBytes} bytes of UTF-8`),
  });
}

/** Whether a fault is that the body is too large, which is 413 rather than 422. */
export function isTooLarge(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params === TOO_LARGE;
}

const TOO_LARGE = { tooLarge: true };
