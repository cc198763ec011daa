import {
  commonConfig,
  commonVariables,
  readEnv,
  count,
  integer,
  port,
  SECRET,
  secretReader,
  type Env,
} from "@wellsent/runtime";
import * as z from "zod";

const FILE_MAX_BYTES = 100 * 1_024 * 1_024;
const longText = z.string().min(32, "must have at least 32 characters").optional();
const secret = (description: string) => longText.meta({ ...SECRET, description });

/** The logger's variables. */
export const variables = z
  .object({
    ...commonVariables,
    AUDIT_DIR: z.string().describe("The audit log's directory; made if missing"),
    AUDIT_FILE_MAX_BYTES: integer(1, 2 ** 40)
      .default(FILE_MAX_BYTES)
      .describe("An audit file that would grow beyond is followed by the next one"),
    AUDIT_HASH_KEY: secret("Key of the hashes; who has it can find an address again"),
    AUDIT_RECIPIENTS: z
      .enum(["plain", "hashed"])
      .default("plain")
      .describe("`hashed`: no address stands in the record nor on stdout; of replies only codes"),
    AUDIT_RETENTION_DAYS: integer(0, 36_500)
      .default(90)
      .describe("Audit files of older days are deleted, but for what is parked; 0 keeps all"),
    AUDIT_SUBJECT: z
      .enum(["plain", "omitted"])
      .default("plain")
      .describe("`omitted`: no subject stands there either; of replies only codes"),
    IN_FLIGHT_BYTES: integer(1, 2 ** 40)
      .default(8_388_608)
      .describe("Bytes of bodies in flight at which no more messages are taken"),
    INTERNAL_HOST: z.string().default("::").describe("Address of the internal port"),
    INTERNAL_PORT: port(9465, "Serves parked mail and the pause to operators"),
    INTERNAL_TOKEN: secret("What they must bring; without one the port stays closed"),
    PREFETCH: count(1, 2_000, 500, "Most deliveries in flight, about the size of a group commit"),
  })
  .refine((given) => given.AUDIT_RECIPIENTS === "plain" || given.AUDIT_HASH_KEY, {
    path: ["AUDIT_HASH_KEY"],
    message: "is required for AUDIT_RECIPIENTS=hashed",
    when: () => true,
  });

/** The logger's configuration. */
export type Config = ReturnType<typeof loadConfig>;

/** Where the record is, and how much of it. */
export type AuditConfig = Config["audit"];

/** The only reader of environment variables in this service. @throws {ConfigError} CONFIG_INVALID */
export function loadConfig(env: Env) {
  const v = readEnv(variables, env);
  const { AUDIT_RECIPIENTS: recipients, AUDIT_SUBJECT: subject, AUDIT_HASH_KEY: hashKey = "" } = v;
  const token = secretReader(env, "INTERNAL_TOKEN");
  return {
    ...commonConfig(v, env),
    prefetch: v.PREFETCH,
    inFlightBytes: v.IN_FLIGHT_BYTES,
    internal: { host: v.INTERNAL_HOST, port: v.INTERNAL_PORT, token },
    audit: {
      directory: v.AUDIT_DIR,
      /** A file that would grow beyond is followed by the next one. */
      fileMaxBytes: v.AUDIT_FILE_MAX_BYTES,
      /** What is older is deleted and forgotten, but for what is still parked; 0 keeps all. */
      retentionDays: v.AUDIT_RETENTION_DAYS,
    },
    redaction: { recipients, subject, hashKey },
  } as const;
}
