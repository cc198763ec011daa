import { readFileSync } from "node:fs";
import * as z from "zod";
import { ConfigError } from "./errors.ts";
import { TIMER_MAX_MS } from "./settles-within.ts";

/** The environment variables of a process. */
export type Env = Record<string, string | undefined>;

/** Marks a variable as secret. Its value may also be in a file, whose path is in `<NAME>_FILE`. */
export const SECRET = { secret: true } as const;

const BROKER_URL = { protocol: /^amqps?$/, hostname: /./ };
/** The broker reserves the names that begin with `amq.`. */
const EXCHANGE_NAME = /^(?!amq\.)[\w.-]{1,200}$/;

/** The variables that every service reads. */
export const commonVariables = {
  AMQP_URL: z
    .url({ ...BROKER_URL, error: "must be a URL that begins with amqp:// or amqps://" })
    .refine(hasReadableCredentials, "must have user and password percent-encoded")
    .meta({ ...SECRET, description: "URL of RabbitMQ, with user, password and virtual host" }),
  ARTICLE_EXCHANGE: z
    .string()
    .regex(EXCHANGE_NAME, "must be 1 to 200 letters, digits, dots, dashes or underscores")
    .optional()
    .describe("Transient fanout exchange, for example `logs`, that is bound to and from `emails`"),
  LOG_FORMAT: z
    .enum(["json", "pretty"])
    .optional()
    .describe("JSON lines or readable text; by default text in a terminal, otherwise JSON"),
  LOG_LEVEL: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("Lowest level that is logged"),
  METRICS_HOST: z
    .string()
    .default("::")
    .describe("Address that the metrics port listens on; `::` means all"),
  METRICS_PORT: port(9464, "Serves `/healthz`, `/readyz` and `/metrics`"),
  SHUTDOWN_DEADLINE_MS: milliseconds(20_000, "How long a shutdown may take before it is forced"),
};

type CommonValues = z.output<z.ZodObject<typeof commonVariables>>;

/** Whether the user and password in a URL are percent-encoded. A `%` without two hexadecimal digits is invalid. */
export function hasReadableCredentials(text: string): boolean {
  const { username = "", password = "" } = URL.parse(text.trim()) ?? {};
  return !/%(?![\da-f]{2})/i.test(username + password);
}

/** Declares a variable that is a whole number and has a default. */
export function count(least: number, most: number, byDefault: number, description: string) {
  return integer(least, most).default(byDefault).describe(description);
}

/** Declares a TCP port. 0 lets the system choose one, and the log names it. */
export function port(byDefault: number, description: string) {
  return count(0, 65_535, byDefault, description);
}

/** Declares a duration of at least 1 millisecond. */
export function milliseconds(byDefault: number, description: string) {
  return count(1, TIMER_MAX_MS, byDefault, description);
}

/** Declares a whole number in decimal digits. `z.coerce.number()` would read "" as 0 and "0x10" as 16. */
export function integer(least: number, most: number) {
  const range = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^-?\d{1,15}$/, range)
    .transform(Number)
    .pipe(z.number().min(least, range).max(most, range))
    .meta({ form: `whole number from ${least} to ${most}` });
}

/**
 * Reads and validates all environment variables of a service. An empty string counts as absent, because Helm renders an
 * absent value as one. No value is printed.
 * @throws {ConfigError} CONFIG_INVALID; the message has the name of each invalid variable and the reason
 */
export function readEnv<Schema extends z.ZodObject>(schema: Schema, env: Env): z.output<Schema> {
  const unreadable = new Set<string>();
  const values = Object.entries(schema.shape).map(([name, variable]) => {
    const value = isSecret(variable) ? readSecret(env, name, unreadable) : env[name];
    return [name, value === "" ? undefined : value];
  });
  const { success, data, error } = schema.safeParse(Object.fromEntries(values));
  if (success && unreadable.size === 0) return data;
  const faults = (error?.issues ?? []).filter(({ path }) => !unreadable.has(String(path[0])));
  const unreadableFiles = [...unreadable].map(
    (name) => `${name}_FILE: names a file that cannot be read`,
  );
  throw invalidConfig([...unreadableFiles, ...faults.map(describeIssue)]);
}

/** Returns the part of the configuration that all services share. */
export function commonConfig(values: CommonValues, env: Env) {
  return {
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
    metrics: { host: values.METRICS_HOST, port: values.METRICS_PORT },
    shutdownDeadlineMs: values.SHUTDOWN_DEADLINE_MS,
    amqp: { url: secretReader(env, "AMQP_URL"), articleExchange: values.ARTICLE_EXCHANGE },
  } as const;
}

/** The part of the configuration that all services share. */
export type CommonConfig = ReturnType<typeof commonConfig>;

/** Returns the error for an invalid environment: CONFIG_INVALID, with a line for each fault. */
export function invalidConfig(faults: readonly string[]): ConfigError {
  const lines = [...new Set(faults)].map((fault) => `\n  ${fault}`);
  return new ConfigError("CONFIG_INVALID", `Configuration:${lines.join("")}`);
}

/**
 * Returns a function that reads a secret from its variable or its file. Callers call it for each use, so a rotated
 * password needs no restart.
 */
export function secretReader(env: Env, name: string): () => string {
  return () => readSecret(env, name, new Set()) ?? "";
}

/** Whether a variable was declared with {@link SECRET}. */
export function isSecret(variable: unknown): boolean {
  return variable instanceof z.ZodType && variable.meta()?.["secret"] === true;
}

function readSecret(env: Env, name: string, unreadable: Set<string>): string | undefined {
  const file = env[`${name}_FILE`];
  if (file === undefined || file === "") return env[name];
  const text = textOf(file);
  if (text === undefined) unreadable.add(name);
  return text?.trim();
}

/** Returns the text of a file, or `undefined` if the file cannot be read. */
export function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** Every variable is text, so the only wrong type is `undefined`: the variable is absent. */
function describeIssue({ path, code, message }: z.core.$ZodIssue): string {
  return `${path.join(".")}: ${code === "invalid_type" ? "is required" : message}`;
}
