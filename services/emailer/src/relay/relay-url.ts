import { X509Certificate } from "node:crypto";
import { hasReadableCredentials, integer, textOf } from "@wellsent/runtime";
import * as z from "zod";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;
const MINUTE_MS = 60_000;
const MAILS_A_SECOND_MAX = 10_000;

/** The options that may follow the `?` of a relay's URL. */
export const relayOptions = z.strictObject({
  ca: z
    .string()
    .refine(holdsCertificates, "must name a readable file of PEM certificates")
    .optional()
    .describe("File of the certificates that the relay's is checked against, read at each connect")
    .meta({ shownDefault: "the public CAs" }),
  connections: integer(1, 1_000)
    .optional()
    .describe("Most connections at a time")
    .meta({ shownDefault: "SMTP_CONNECTIONS" }),
  passwordFile: z
    .string()
    .refine((file) => textOf(file) !== undefined, "must name a readable file")
    .optional()
    .describe("File of the password, read at each connect"),
  rate: z
    .string()
    .transform(toRate)
    .refine(isInRange, "must be mails a second, such as 14 or 0.5, or a minute, such as 100/m")
    .optional()
    .describe("Most mails a second, such as `14` or `0.5`, or a minute, such as `100/m`")
    .meta({ form: `from 1/m to ${MAILS_A_SECOND_MAX}`, shownDefault: "no limit" }),
  tls: z
    .enum(["opportunistic", "required"], "must be opportunistic or required")
    .optional()
    .describe(
      "opportunistic: STARTTLS where the relay offers it, with any certificate. required: always, with a valid certificate",
    ),
});

/** At most `mails` mails in any period of `periodMs` milliseconds. */
export type Rate = NonNullable<ReturnType<typeof toRate>>;

/** The settings that a relay's URL contains. */
export type RelayUrl = ReturnType<typeof settingsOf>;

/** Reads the relays' URLs, separated by commas. An issue names the relay and the option, never a value. */
export const relayUrls = z.string().transform((text, context) =>
  text.split(",").map((part, index, { length }) => {
    const relay = readRelayUrl(part);
    if (!Array.isArray(relay)) return relay;
    const where = length === 1 ? "" : `relay ${index + 1}: `;
    for (const fault of relay) context.addIssue(`${where}${fault}`);
    return z.NEVER;
  }),
);

/** Reads user and password from a relay's URL and its password file again. The password is empty when it cannot be read. */
export function credentialsNow(text: string, { name, user, passwordFile }: RelayUrl) {
  try {
    const { host, username, password } = new URL(text.trim());
    if (host !== name) return { user, pass: "" };
    const pass =
      passwordFile === undefined ? decodeURIComponent(password) : textOf(passwordFile)?.trim();
    return { user: decodeURIComponent(username) || user, pass: pass ?? "" };
  } catch {
    return { user, pass: "" };
  }
}

function readRelayUrl(text: string): RelayUrl | string[] {
  const url = URL.parse(text.trim());
  const isRelay = url !== null && /^smtps?:$/.test(url.protocol) && url.hostname !== "";
  if (!isRelay || !hasReadableCredentials(text)) return ["must be smtp:// or smtps:// URLs"];
  const { data, error } = relayOptions.safeParse(Object.fromEntries(url.searchParams));
  if (!data) return error.issues.map(explain);
  const faults = contradictions(url, data);
  return faults.length === 0 ? settingsOf(url, data) : faults;
}

/** Does not quote an unknown option: its name may be a part of a password that was not encoded. */
function explain({ code, path, message }: z.core.$ZodIssue): string {
  return code === "unrecognized_keys"
    ? `has an option that is none of ${Object.keys(relayOptions.shape).join(", ")}`
    : `${path.join(".")} ${message}`;
}

function contradictions(url: URL, { passwordFile, tls }: z.output<typeof relayOptions>): string[] {
  const hasBoth = passwordFile !== undefined && url.password !== "";
  const lacksUser = passwordFile !== undefined && url.username === "";
  return [
    ...(hasBoth ? ["passwordFile must not stand beside a password"] : []),
    ...(lacksUser ? ["passwordFile must have a user in the URL"] : []),
    ...(tls && url.protocol === "smtps:" ? ["tls is for smtp://, smtps:// begins with TLS"] : []),
  ];
}

function settingsOf(
  { protocol, host, hostname, port, username }: URL,
  { ca, tls, ...options }: z.output<typeof relayOptions>,
) {
  // RFC 7435: encryption with an unknown peer is better than none. A password is sent to a verified peer or over loopback only.
  const guarded = ca !== undefined || (username !== "" && !LOOPBACK.test(hostname));
  const mode =
    protocol === "smtps:" ? "implicit" : (tls ?? (guarded ? "required" : "opportunistic"));
  return {
    /** Host and, if the URL has one, port. */
    name: host,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || (mode === "implicit" ? 465 : 587)),
    /** `implicit`: TLS from the start. `required`: STARTTLS or no mail. `opportunistic`: STARTTLS where the relay offers it. */
    tls: mode,
    /** Whether the relay's certificate must be valid. */
    verified: mode !== "opportunistic" || ca !== undefined,
    user: decodeURIComponent(username),
    /** Reads the CA certificates again. Absent: the public CAs. */
    ...(ca !== undefined && { ca: () => textOf(ca) }),
    ...options,
  } as const;
}

function toRate(text: string) {
  const [, mails, minute] = /^(\d{1,9}(?:\.\d{1,3})?)(\/m)?$/.exec(text) ?? [];
  const periodMs = minute ? MINUTE_MS : 1_000;
  const count = Number(mails);
  if (!(count > 0)) return undefined;
  return Number.isInteger(count)
    ? { mails: count, periodMs }
    : { mails: 1, periodMs: periodMs / count };
}

function isInRange(rate: Rate | undefined) {
  if (rate === undefined || rate.periodMs > MINUTE_MS) return false;
  return (rate.mails / rate.periodMs) * 1_000 <= MAILS_A_SECOND_MAX;
}

function holdsCertificates(file: string): boolean {
  try {
    return Boolean(new X509Certificate(textOf(file) ?? ""));
  } catch {
    return false;
  }
}
