import { X509Certificate } from "node:crypto";
import { hasReadableCredentials, integer, textOf } from "@wellsent/runtime";
import * as z from "zod";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;
const MINUTE_MS = 60_000;
const MAILS_A_SECOND_MAX = 10_000;

/** What may stand after the `?` of a relay's URL. */
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
    .describe("STARTTLS where it is offered, by whomever; or always, and with a good certificate"),
});

/** At most so many mails in any period of so many milliseconds. */
export type Rate = NonNullable<ReturnType<typeof toRate>>;

/** A relay, as its URL describes it. */
export type RelayUrl = ReturnType<typeof takeApart>;

/** Reads the relays' URLs, separated by commas. A fault names the relay and the option, never a value. */
export const relayUrls = z.string().transform((text, context) =>
  text.split(",").map((part, index, { length }) => {
    const relay = readRelayUrl(part);
    if (!Array.isArray(relay)) return relay;
    const where = length === 1 ? "" : `relay ${index + 1}: `;
    for (const fault of relay) context.addIssue(`${where}${fault}`);
    return z.NEVER;
  }),
);

/** User and password as they are now in a relay's URL and its file; an empty password when they cannot be read. */
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
  return faults.length === 0 ? takeApart(url, data) : faults;
}

/** n.b. what an unknown option is called may be a piece of a badly encoded password. */
function explain({ code, path, message }: z.core.$ZodIssue): string {
  return code === "unrecognized_keys"
    ? `has an option that is none of ${Object.keys(relayOptions.shape).join(", ")}`
    : `${path.join(".")} ${message}`;
}

function contradictions(url: URL, { passwordFile, tls }: z.output<typeof relayOptions>): string[] {
  const twice = passwordFile !== undefined && url.password !== "";
  const nobodys = passwordFile !== undefined && url.username === "";
  return [
    ...(twice ? ["passwordFile must not stand beside a password"] : []),
    ...(nobodys ? ["passwordFile must have a user in the URL"] : []),
    ...(tls && url.protocol === "smtps:" ? ["tls is for smtp://, smtps:// begins with TLS"] : []),
  ];
}

function takeApart(
  { protocol, host, hostname, port, username }: URL,
  { ca, tls, ...options }: z.output<typeof relayOptions>,
) {
  // RFC 7435: encryption with an unknown peer beats none; a password goes only to a verified one, or over loopback.
  const guarded = ca !== undefined || (username !== "" && !LOOPBACK.test(hostname));
  const mode =
    protocol === "smtps:" ? "implicit" : (tls ?? (guarded ? "required" : "opportunistic"));
  return {
    /** Host and port. */
    name: host,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || (mode === "implicit" ? 465 : 587)),
    /** From the start, by STARTTLS or not at all, or by STARTTLS where the relay offers it. */
    tls: mode,
    /** Whether the relay's certificate must be good. */
    verified: mode !== "opportunistic" || ca !== undefined,
    user: decodeURIComponent(username),
    /** Gives the certificates that it is checked against as they are now; the public ones by default. */
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
