import { readFileSync } from "node:fs";
import {
  answerSchema,
  EMAIL_TYPE,
  emailSchema,
  ladder,
  LEASE_TYPE,
  leaseSchema,
  OUTCOME_TYPE,
  outcomeSchema,
  ANSWER_TYPE,
  QUERY_TYPE,
  querySchema,
  topology,
} from "@wellsent/contract";
import * as z from "zod";

const FIXTURES = "packages/contract/fixtures";

/** docs/messages.md, of topology, schemas and fixtures; `generated` is the note that it is not written by hand. */
export function messages(generated: string): string {
  const whole = topology();
  const rungs = ladder();
  const exchanges = whole.exchanges.map(({ name, type }) => `| \`${name}\` | ${type} |`);
  const queues = [...whole.queues, ...rungs.queues].map(
    ({
      name,
      arguments: {
        "x-message-ttl": ttl,
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": key,
      },
    }) => {
      const next =
        key === undefined
          ? ""
          : `\`${exchange === "" ? "(default)" : String(exchange)}\`, key \`${key}\``;
      return `| \`${name}\` | ${ttl === undefined ? "" : `${Number(ttl) / 1_000} s`} | ${next} |`;
    },
  );
  const bindings = [...whole.bindings, ...rungs.bindings].map(
    ({ source, key, destination }) =>
      `| \`${source}\` | ${key === "" ? "" : `\`${key}\``} | \`${destination}\` |`,
  );
  return `# Messages

${generated}

Everything that travels is declared in \`packages/contract\`. Every exchange and queue is durable, every queue a quorum
queue without a delivery limit (\`x-delivery-limit\` 1000000000); nothing depends on a policy.

## Properties

| property | of an email | of one recipient's delivery | of an outcome |
| --- | --- | --- | --- |
| \`messageId\` | the email's id, a UUID of version 7 | the delivery id, \`email.recipient.generation\` | the event's id |
| \`type\` | \`${EMAIL_TYPE}\` | \`${EMAIL_TYPE}\` | \`${OUTCOME_TYPE}\` |
| \`timestamp\` | when the id was made | the same | when it was known |
| \`contentType\` | \`application/json\` | the same | the same |
| \`deliveryMode\` | 2 | 2 | 2 |
| header \`traceparent\` | when the request had one | as the email | |
| header \`x-maybe-duplicate\` | \`true\`: may have been handed over before | as the email | |
| header \`x-parked-reason\`, \`x-parked-detail\` | in \`emailer.parked\` only | | |
| header \`x-parked-whole\` | there, where it is all recipients' | | |

A version is part of the type. Consumers read the version before theirs too; a newer one is held, not parked, whatever its id is: the
emailer sends it down the ladder, the logger to \`logger.held\`, and both say so. What is malformed is parked with its reason.
What arrives on \`emails\` without an id of ours is foreign: the emailer gives it one and publishes it to \`adopted\`.

${schemaSection(EMAIL_TYPE, "Published to `emails` by the API, to `adopted` and `emailer.entry` by the emailer.", emailSchema)}

${schemaSection(OUTCOME_TYPE, "Published to `outcomes` by the emailer; the routing key is its `kind`.", outcomeSchema)}

${schemaSection(QUERY_TYPE, "Published to `outcomes` with the key `email.query` by the emailer: what is recorded of a delivery?", querySchema)}

${schemaSection(ANSWER_TYPE, "The logger's answer, by direct reply-to, when everything published before the query is committed.", answerSchema)}

${schemaSection(LEASE_TYPE, "Published to `outcomes` with the key `email.lease` by the emailer, every second while a relay takes longer than that.", leaseSchema)}

## Exchanges

| exchange | type |
| --- | --- |
${exchanges.join("\n")}

## Queues

| queue | messages stay | then, or when rejected, to |
| --- | --- | --- |
${queues.join("\n")}

Besides these, the logger that consumes owns the exclusive queue \`logger.lock\`, which is gone with its connection; another logger
waits for it.

## Bindings

| exchange | key | to |
| --- | --- | --- |
${bindings.join("\n")}
`;
}

function schemaSection(type: string, where: string, schema: z.ZodType): string {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
  });
  const rows = Object.entries(properties).map(([field, given]) => {
    const property = given as z.core.JSONSchema.JSONSchema;
    const { description = "" } = property;
    const form = formOf(property);
    return `| \`${field}\` | ${form} | ${required.includes(field) ? "yes" : ""} | ${description} |`;
  });
  const [example] = JSON.parse(readFileSync(`${FIXTURES}/${type}.json`, "utf8")) as unknown[];
  return `## ${type}\n\n${where}\n\n| field | type | required | meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n\n\`\`\`json\n${JSON.stringify(example, null, 2)}\n\`\`\``;
}

/** The form of a field, as a cell of a table. */
function formOf({ type, anyOf, enum: values }: z.core.JSONSchema.JSONSchema): string {
  if (values) return values.map((one) => `\`${String(one)}\``).join(", ");
  if (!anyOf) return String(type);
  const orNull = JSON.stringify(anyOf).includes('"null"');
  return `string or ${orNull ? "null" : "list of strings"}`;
}
