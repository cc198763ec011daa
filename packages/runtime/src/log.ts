import { isatty } from "node:tty";
import winston from "winston";
import type { CommonConfig } from "./config.ts";
import { codeOf } from "./errors.ts";

/** The fields of a log line: codes, counts, ids and our own names. Never text that a user wrote. */
export type Fields = Record<string, string | number | boolean | undefined>;

type LogFunction = (message: string, fields?: Fields) => void;

/** The log of a process. It contains no recipient, subject, body or secret. */
export type Log = Record<"debug" | "info" | "warn" | "error", LogFunction>;

type LogConfig = Partial<CommonConfig["log"]>;

/** Creates a log on stdout: one JSON object a line, or coloured text. The default is text in a terminal, otherwise JSON. */
export function createLogger(service: string, { level = "info", format }: LogConfig): Log {
  const isPretty = format ? format === "pretty" : isatty(1);
  const { combine, timestamp, json, colorize, printf } = winston.format;
  const pretty = combine(colorize(), timestamp({ format: "HH:mm:ss.SSS" }), printf(readable));
  return winston.createLogger({
    level,
    defaultMeta: { service },
    format: isPretty ? pretty : combine(timestamp(), json()),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston declares its class as `any`
    transports: [new winston.transports.Console()],
  });
}

function readable(line: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, service, ...fields } = line;
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`);
  return [timestamp, level, service, message, ...rest].join(" ");
}

/**
 * Returns the log fields of an error: its code. An error without a code has its name and its stack too, without the
 * message, because the message of a library's error may quote a recipient or a URL.
 */
export function describe(error: unknown): Fields {
  const code = codeOf(error);
  if (!Error.isError(error) || code !== "UNEXPECTED") return { code };
  const stack = (error.stack ?? "").replace(error.message, "");
  const frames = stack.split("\n").filter((line) => line.startsWith("    at "));
  return { error: error.name, code, stack: frames.slice(0, 8).join("\n") };
}
