import {
  commonVariables,
  integer,
  milliseconds,
  port,
  readEnv,
  secretReader,
  type Env,
} from "@posthorn/chassis";
import { z } from "zod";

/** Escaped six-fold in JSON, the largest body must still fit into RabbitMQ's largest message (16 MiB). */
const BODY_MAX_BYTES_MOST = 2_621_440;

/** The environment variables of the API. */
export const variables = z
  .object({
    ...commonVariables,
    HTTP_HOST: z
      .string()
      .default("::")
      .meta({ description: "Address of the API; `::` is every address, IPv4 too" }),
    HTTP_PORT: port(8080, "Port of the API"),
    API_KEYS_FILE: z.string().optional().meta({
      description:
        "File of API keys, each line `<sha256 of the key in hex>  <name>`; read again when it changes",
    }),
    API_ANONYMOUS: z
      .stringbool({ error: "must be true or false" })
      .default(false)
      .meta({ description: "Lets everyone send when there is no `API_KEYS_FILE`" }),
    BODY_MAX_BYTES: integer(1, BODY_MAX_BYTES_MOST)
      .default(1_048_576)
      .meta({ description: "Largest `body` of an email, in bytes of UTF-8" }),
    PUBLISH_WINDOW: integer(1, 100_000)
      .default(500)
      .meta({ description: "Most emails that may wait for the broker's confirm at a time" }),
    PUBLISH_TIMEOUT_MS: milliseconds(5_000, "How long the broker's confirm may take"),
    EMAILER_QUEUE_MAX: integer(1, 1_000_000_000)
      .default(500_000)
      .meta({ description: "Sends are refused while the queue `emailer` holds this many" }),
  })
  .refine(({ API_KEYS_FILE, API_ANONYMOUS }) => API_KEYS_FILE !== undefined || API_ANONYMOUS, {
    path: ["API_KEYS_FILE"],
    message: "is required, unless API_ANONYMOUS=true lets everyone send",
    when: () => true,
  });

/** Reads the environment of the API. @throws {ConfigError} CONFIG_INVALID */
export function loadConfig(env: Env) {
  const values = readEnv(variables, env);
  return {
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
    shutdownDeadlineMs: values.SHUTDOWN_DEADLINE_MS,
    metrics: { host: values.METRICS_HOST, port: values.METRICS_PORT },
    http: { host: values.HTTP_HOST, port: values.HTTP_PORT },
    amqp: { url: secretReader(env, "AMQP_URL"), articleExchange: values.ARTICLE_EXCHANGE },
    publish: { windowSize: values.PUBLISH_WINDOW, timeoutMs: values.PUBLISH_TIMEOUT_MS },
    apiKeysFile: values.API_KEYS_FILE,
    limits: { bodyMaxBytes: values.BODY_MAX_BYTES, emailerQueueMax: values.EMAILER_QUEUE_MAX },
  } as const;
}
