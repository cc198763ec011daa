import { hostname, networkInterfaces } from "node:os";
import {
  commonConfig,
  commonVariables,
  readEnv,
  secretReader,
  count,
  integer,
  milliseconds,
  SECRET,
  type Env,
} from "@wellsent/runtime";
import { parseAddress } from "@wellsent/contract";
import * as z from "zod";
import { ehloNameOf, isEhloName } from "./relay/ehlo-name.ts";
import { parseSender } from "./mail/sender.ts";
import { credentialsNow, relayUrls, type Rate, type RelayUrl } from "./relay/relay-url.ts";

const RUNGS_MAX = 16;
/** Well below the half hour after which RabbitMQ takes back what was not settled (its `consumer_timeout`). */
const HELD_MS = 600_000;

/** The emailer's variables. */
export const variables = z.object({
  ...commonVariables,
  EHLO_NAME: z
    .string()
    .refine(isEhloName, "must be a qualified host name, or an address such as [192.0.2.1]")
    .default(() => ehloNameOf(hostname(), networkInterfaces()))
    .meta({
      description: "The name given in EHLO, such as `mail.example.com` or `[192.0.2.1]`",
      shownDefault: "the host's name if it is qualified, else its address",
    }),
  GUARD_WAIT_MS: milliseconds(30_000, "How long the record is asked; then it is sent and flagged"),
  IN_FLIGHT_BYTES: integer(1, 2 ** 40)
    .default(16_777_216)
    .describe("Bytes of bodies in flight at which no more deliveries are taken"),
  MAIL_ENVELOPE_FROM: z
    .string()
    .transform((text, context) => {
      const address = parseAddress(text);
      if (typeof address === "string") return address;
      context.addIssue(address.fault);
      return z.NEVER;
    })
    .optional()
    .describe("Where bounces go: the envelope's sender; the address of `MAIL_FROM` by default"),
  MAIL_FROM: z
    .string()
    .transform((text, context) => {
      const mailbox = parseSender(text);
      if ("address" in mailbox) return mailbox;
      context.addIssue(mailbox.fault);
      return z.NEVER;
    })
    .describe("The From of every mail, `Name <address>` or an address"),
  MAX_ATTEMPTS: count(1, 10_000, 27, "Attempts before a delivery is parked; 27 take about a day"),
  ON_AMBIGUOUS: z
    .enum(["retry", "park"])
    .default("retry")
    .describe("What becomes of a delivery whose connection was lost after the final dot"),
  PREFETCH: integer(1, 2_000)
    .default(100)
    .describe("Deliveries in flight, at least one a queue; as many again after a relay's trouble"),
  RETRY_LADDER: z
    .string()
    .default("10s,1m,10m,1h")
    .transform((text) => text.split(",").map(toSeconds))
    .refine(isLadder, `must be up to ${RUNGS_MAX} rising times such as 10s,1m,10m,1h`)
    .describe("The rungs' waiting times; the last one repeats"),
  SMTP_CONNECTIONS: count(1, 1_000, 10, "Most connections to a relay whose URL does not say"),
  SMTP_SHARED_BY: count(1, 1_000, 1, "How many emailers share a relay's `connections` and `rate`"),
  SMTP_URLS: relayUrls.meta({
    ...SECRET,
    form: "URLs, separated by commas",
    description:
      "The relays in order of preference, such as `smtp://user@relay.example:587?passwordFile=/run/secrets/smtp`",
  }),
});

/** The emailer's configuration. */
export type Config = ReturnType<typeof loadConfig>;

/** One relay, as it was configured. */
export type RelayConfig = Omit<Config["relays"][number], "user" | "passwordFile">;

/** The only reader of environment variables in this service. @throws {ConfigError} CONFIG_INVALID */
export function loadConfig(env: Env) {
  const v = readEnv(variables, env);
  const urls = secretReader(env, "SMTP_URLS");
  const relays = v.SMTP_URLS.map((relay, index) => ({
    ...relay,
    /** Most connections at a time, and mails in any period; without a rate there is no limit. */
    ...shareOf(relay.connections ?? v.SMTP_CONNECTIONS, relay.rate, v.SMTP_SHARED_BY),
    ehloName: v.EHLO_NAME,
    name: nameOf(relay, v.SMTP_URLS.slice(0, index)),
    /** Gives user and password as they are now. n.b. it must not throw. */
    ...(relay.user && { credentials: () => credentialsNow(urls().split(",")[index] ?? "", relay) }),
  }));
  return {
    ...commonConfig(v, env),
    prefetch: Math.min(v.PREFETCH, ...relays.map(mailsHeldAtMost)),
    inFlightBytes: v.IN_FLIGHT_BYTES,
    guardWaitMs: v.GUARD_WAIT_MS,
    ladder: { seconds: v.RETRY_LADDER, maxAttempts: v.MAX_ATTEMPTS, onAmbiguous: v.ON_AMBIGUOUS },
    mail: { from: v.MAIL_FROM, envelopeFrom: v.MAIL_ENVELOPE_FROM ?? v.MAIL_FROM.address },
    relays,
  } as const;
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3_600 } as const;

function toSeconds(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smh])$/.exec(text.trim()) ?? [];
  return unit === undefined ? 0 : Number(count) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
}

function isLadder(seconds: readonly number[]): boolean {
  const rising = seconds.every((value, rung) => value > (seconds[rung - 1] ?? 0));
  return rising && seconds.length <= RUNGS_MAX;
}

/** Two accounts at one relay are told apart by number. */
function nameOf({ name }: RelayUrl, before: readonly RelayUrl[]): string {
  const same = before.filter((other) => other.name === name).length;
  return same === 0 ? name : `${name}#${same + 1}`;
}

/** n.b. rounded down, so that all together stay within the limit; but no emailer goes without. */
function shareOf(connections: number, rate: Rate | undefined, emailers: number) {
  const part = (whole: number) => Math.max(1, Math.floor(whole / emailers));
  if (!rate) return { connections: part(connections) };
  const periodMs = rate.periodMs * Math.max(1, emailers / rate.mails);
  return { connections: part(connections), rate: { mails: part(rate.mails), periodMs } };
}

/** What a relay's rate does not let through in time the broker would take back, and count as a crash. */
function mailsHeldAtMost({ rate }: { rate?: Rate | undefined }): number {
  return rate === undefined ? Infinity : Math.ceil((rate.mails / rate.periodMs) * HELD_MS);
}
