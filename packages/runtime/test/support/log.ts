import type { Fields, Log } from "../../src/log.ts";

/** A line that was logged. */
export interface Line extends Fields {
  level: string;
  message: string;
}

/** A log that keeps its lines. */
export function createTestLog(): Log & { lines: Line[] } {
  const lines: Line[] = [];
  const keep =
    (level: string) =>
    (message: string, fields: Fields = {}) => {
      lines.push({ ...fields, level, message });
    };
  return {
    lines,
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
  };
}
