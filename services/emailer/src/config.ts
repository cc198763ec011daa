import { hostname } from "node:os";
import {
  commonConfig,
  commonVariables,
  hasReadableCredentials,
  integer,
  milliseconds,
  readEnv,
  SECRET,
  type Env,
} from "@posthorn/chassis";
import { parseAddress } from "@posthorn/contract";
import { z } from "zod";
import { isSender, addressOf } from "./mail.ts";

const RUNGS_MAX = 16;

/** The emailer's variables. */
export const variables = z.object({
  ...commonVariables,
  EHLO_NAME: z
    .string()
    .regex(
      /^([\w-]+(\.[\w-]+)*|\[[0-9A-Fa-f.:]+\])$/,
      "must be a host name or an address in brackets",
    )
    .default(hostname())
    .meta({
      description: "The name given in EHLO; the machine's own by default",
      shownDefault: "the host's name",
    }),
  GUARD_WAIT_MS: milliseconds(
    30_000,
    "How long the logger is asked whether a delivery was made before; then it is sent and flagged",
  ),
  MAIL_ENVELOPE_FROM: z
    .string()
    .refine((text) => typeof parseAddress(text) === "string", "must be an address")
    .optional()
    .describe("Where bounces go: the envelope's sender; the address of `MAIL_FROM` by default"),
  MAIL_FROM: z
    .string()
    .refine(isSender, "must be an address, or a name with an address in angle brackets")
    .describe("The From of every mail, `Name <address>` or an address"),
  MAX_ATTEMPTS: integer(1, 10_000)
    .default(27)
    .describe("A delivery refused for a while this often is parked; 27 is about a day"),
  ON_AMBIGUOUS: z
    .enum(["retry", "park"])
    .default("retry")
    .describe("What becomes of a delivery whose connection was lost after the final dot"),
  PREFETCH: integer(1, 2_000).default(100).describe("Most deliveries in flight, over all queues"),
  RETRY_LADDER: z
    .string()
    .default("10s,1m,10m,1h")
    .transform((text) => text.split(",").map(toSeconds))
    .refine(isLadder, `must be up to ${RUNGS_MAX} rising times such as 10s,1m,10m,1h`)
    .describe("The rungs' waiting times; the last one repeats"),
  SMTP_CONNECTIONS: integer(1, 1_000)
    .default(10)
    .describe("Most connections to the relay at a time"),
  SMTP_URLS: z
    .string()
    .refine((text) => text.split(",").every(isRelayUrl), "must be smtp:// or smtps:// URLs")
    .refine((text) => !text.includes(","), "must be one URL: several relays are not supported yet")
    .meta({
      ...SECRET,
      description: "The relay, such as `smtp://user:password@relay.example:587`",
    }),
});

/** The only reader of environment variables in this service. @throws {ConfigError} CONFIG_INVALID */
export function loadConfig(env: Env) {
  const v = readEnv(variables, env);
  return {
    ...commonConfig(v, env),
    prefetch: v.PREFETCH,
    guardWaitMs: v.GUARD_WAIT_MS,
    ladder: { seconds: v.RETRY_LADDER, maxAttempts: v.MAX_ATTEMPTS, onAmbiguous: v.ON_AMBIGUOUS },
    mail: { from: v.MAIL_FROM, envelopeFrom: v.MAIL_ENVELOPE_FROM ?? addressOf(v.MAIL_FROM) },
    relay: { url: v.SMTP_URLS, connections: v.SMTP_CONNECTIONS, ehloName: v.EHLO_NAME },
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

function isRelayUrl(text: string): boolean {
  const url = URL.parse(text.trim());
  if (url === null || !/^smtps?:$/.test(url.protocol)) return false;
  return url.hostname !== "" && hasReadableCredentials(text);
}
