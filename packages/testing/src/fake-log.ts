import type { Fields, Log } from "@wellsent/runtime";

/** One logged line, with its fields beside its level and message. */
export interface LogLine extends Fields {
  level: string;
  message: string;
}

/** A log that keeps its lines in memory. */
export interface FakeLog extends Log {
  lines: LogLine[];
  /** The messages of all lines, oldest first. */
  readonly messages: string[];
}

/** Creates a log that prints nothing and keeps every line. */
export function createFakeLog(): FakeLog {
  const lines: LogLine[] = [];
  const keep =
    (level: string) =>
    (message: string, fields: Fields = {}) => {
      lines.push({ ...fields, level, message });
    };
  return {
    lines,
    get messages() {
      return lines.map(({ message }) => message);
    },
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
  };
}
