import {
  commonConfig,
  commonVariables,
  count,
  integer,
  milliseconds,
  port,
  readEnv,
  type Env,
} from "@wellsent/runtime";
import { BODY_BYTES_MAX } from "@wellsent/contract";
import { isLoopback } from "@wellsent/http";
import * as z from "zod";

/** The environment variables of the API. */
export const variables = z
  .object({
    ...commonVariables,
    HTTP_HOST: z
      .string()
      .default("::")
      .describe("Address that the API listens on; `::` means all, IPv4 too"),
    HTTP_PORT: port(8080, "Port of the API"),
    HTTP_LEAVE_MS: count(
      0,
      60_000,
      0,
      "How long a stopping API is unready and still serves load balancers",
    ),
    API_KEYS_FILE: z
      .string()
      .optional()
      .describe("File with lines of `<sha256 of a key in hex>  <name>`; changes are loaded"),
    API_ANONYMOUS: z.stringbool({ error: "must be true or false" }).default(false).meta({
      form: "`true` or `false`",
      description: "Whether everyone may send if `API_KEYS_FILE` is absent",
    }),
    BODY_MAX_BYTES: count(1, BODY_BYTES_MAX, 1_048_576, "Largest `body`, in bytes of UTF-8"),
    PUBLISH_WINDOW: count(1, 100_000, 500, "Most emails that may wait for the broker's confirm"),
    PUBLISH_TIMEOUT_MS: milliseconds(10_000, "How long the broker's confirm may take"),
    SEND_PATIENCE_MS: milliseconds(8_000, "How long a send waits during a broker failover"),
    EMAILER_QUEUE_MAX: integer(1, 1_000_000_000)
      .default(500_000)
      .describe("Sends are refused while the queue `emailer` has this many messages"),
    QUEUES_MAX_BYTES: integer(1, 2 ** 49)
      .default(25_769_803_776)
      .describe(
        "Sends are refused while the queues `emailer` and `logger` have this many bytes, by estimate",
      ),
  })
  .refine(({ API_KEYS_FILE, API_ANONYMOUS }) => API_KEYS_FILE !== undefined || API_ANONYMOUS, {
    path: ["API_KEYS_FILE"],
    message: "is required, unless API_ANONYMOUS=true lets everyone send",
    when: () => true,
  });

/** Reads the environment of the API. @throws {ConfigError} CONFIG_INVALID */
export function loadConfig(env: Env) {
  const v = readEnv(variables, env);
  // The second half of the time is for the last requests, and for the components that stop after the server.
  const lingerMaxMs = Math.max(0, (v.SHUTDOWN_DEADLINE_MS - v.HTTP_LEAVE_MS) / 2);
  return {
    ...commonConfig(v, env),
    http: { host: v.HTTP_HOST, port: v.HTTP_PORT, leaveMs: v.HTTP_LEAVE_MS, lingerMaxMs },
    publish: { windowSize: v.PUBLISH_WINDOW, timeoutMs: v.PUBLISH_TIMEOUT_MS },
    patienceMs: v.SEND_PATIENCE_MS,
    apiKeysFile: v.API_KEYS_FILE,
    anonymousOn: v.API_KEYS_FILE === undefined ? networkOf(v.HTTP_HOST) : undefined,
    limits: {
      bodyMaxBytes: v.BODY_MAX_BYTES,
      emailerQueueMax: v.EMAILER_QUEUE_MAX,
      queuesMaxBytes: v.QUEUES_MAX_BYTES,
    },
  } as const;
}

function networkOf(host: string): "loopback" | "network" {
  const name = host.includes(":") ? `[${host}]` : host;
  return isLoopback(`http://${name}`) ? "loopback" : "network";
}
