import { isSecret } from "@wellsent/runtime";
import * as z from "zod";
import { variables as apiVariables } from "../services/api/src/config.ts";
import { variables as emailerVariables } from "../services/emailer/src/config.ts";
import { relayOptions } from "../services/emailer/src/relay/relay-url.ts";
import { variables as loggerVariables } from "../services/logger/src/config.ts";

/** docs/configuration.md, of the variables that each service reads; `generated` is the note that it is not written by hand. */
export function configuration(generated: string): string {
  const services = { api: apiVariables, emailer: emailerVariables, logger: loggerVariables };
  const sections = Object.entries(services).map(([name, { shape }]) => {
    const rows = Object.entries<z.ZodType>(shape)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([variable, schema]) => variableRow(variable, schema));
    return `## ${name}\n\n| variable | value | default | meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}`;
  });
  return `# Configuration

${generated}

Each service reads its environment once, at start. Whatever is wrong is said at once, by name, and the process
ends with status 78; values are never printed. An empty variable counts as absent. A variable marked _secret_ may
also stand in a file that \`<NAME>_FILE\` names.

${sections.join("\n\n")}

## Relays

\`SMTP_URLS\` names the emailer's relays in order of preference: each mail goes to the first that is well. A URL is
\`smtps://\` (TLS from the start) or \`smtp://\` (STARTTLS), with user and password percent-encoded, commas too, and
these options after a \`?\`, joined by \`&\`:

| option | value | default | meaning |
| --- | --- | --- | --- |
${Object.entries<z.ZodType>(relayOptions.shape)
  .map(([option, schema]) => variableRow(option, schema))
  .join("\n")}

Without \`tls\`, STARTTLS and a good certificate are required where there is a \`ca\`, or a password that does not go
over loopback; elsewhere TLS is opportunistic. User and password are read again at each connect, from the
\`passwordFile\` or \`SMTP_URLS_FILE\`; every other change needs a restart. No second (or minute) at a relay ever
sees more mails than the \`rate\`; no more deliveries are taken from the broker than pass in ten minutes. \`connections\`
and \`rate\` hold for all emailers together where \`SMTP_SHARED_BY\` says how many there can be, as the Helm chart does.
`;
}

function variableRow(name: string, schema: z.ZodType): string {
  const {
    description,
    form,
    shownDefault,
    enum: values,
    format: kind,
    type,
    default: written,
  } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Record<
    string,
    string | string[] | undefined
  >;
  const absent = schema.safeParse(undefined);
  const byDefault = shownDefault ?? ((written ?? absent.data) as string | undefined);
  const withoutDefault = absent.success ? "none" : "**required**";
  const shown = byDefault === undefined ? withoutDefault : `\`${String(byDefault)}\``;
  const value =
    form ?? (Array.isArray(values) ? values.map((one) => `\`${one}\``).join(", ") : (kind ?? type));
  return `| \`${name}\`${isSecret(schema) ? " _secret_" : ""} | ${String(value)} | ${shown} | ${String(description)} |`;
}
