import { isatty } from "node:tty";
import winston from "winston";
import type { CommonConfig } from "./config.ts";
import { codeOf } from "./errors.ts";

/** What may stand beside a log line: codes, counts, ids and names of ours; never what a user wrote. */
export type Fields = Record<string, string | number | boolean | undefined>;

type Say = (message: string, fields?: Fields) => void;

/** The process's own log. It carries no recipient, subject, body or secret. */
export type Log = Record<"debug" | "info" | "warn" | "error", Say>;

type LogConfig = Partial<CommonConfig["log"]>;

/** Creates the log on stdout: one JSON object a line, or coloured text for a person, as in a terminal by default. */
export function createLogger(service: string, { level = "info", format }: LogConfig): Log {
  const isPretty = format ? format === "pretty" : isatty(1);
  const { combine, timestamp, json, colorize, printf } = winston.format;
  const pretty = combine(colorize(), timestamp({ format: "HH:mm:ss.SSS" }), printf(readable));
  return winston.createLogger({
    level,
    defaultMeta: { service },
    format: isPretty ? pretty : combine(timestamp(), json()),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's own types say so of its own class
    transports: [new winston.transports.Console()],
  });
}

function readable(line: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, service, ...fields } = line;
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`);
  return [timestamp, level, service, message, ...rest].join(" ");
}

/**
 * The fields that describe an error. A foreign error's message may quote a recipient or a URL, so of those
 * only name and code are logged, and where there is no code the stack's places without the message.
 */
export function describe(error: unknown): Fields {
  const code = codeOf(error);
  if (!Error.isError(error) || code !== "UNEXPECTED") return { code };
  const stack = (error.stack ?? "").replace(error.message, "");
  const places = stack.split("\n").filter((line) => line.startsWith("    at "));
  return { error: error.name, code, stack: places.slice(0, 8).join("\n") };
}
