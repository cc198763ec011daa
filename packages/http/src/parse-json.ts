import { visit } from "jsonc-parser";
import { Problem } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";

/** An email has two levels. Deeper nesting needs up to fifty times its bytes of memory, as measured. */
const DEPTH_MAX = 32;
/** Most characters of a member's name that a problem document quotes, because the name is text of the client. */
const NAME_MAX = 100;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/**
 * Parses JSON in UTF-8. `valuesMax`: the most commas and opening brackets. They are counted before the JSON is parsed.
 * @throws {Problem} JSON_TOO_DEEP, JSON_TOO_MANY_VALUES, JSON_NOT_UTF8, JSON_MALFORMED, JSON_MEMBER_REPEATED
 */
export function parseJson(bytes: Buffer, valuesMax: number): unknown {
  const { members, endsAt } = measure(bytes, valuesMax);
  const text = decode(bytes.subarray(0, endsAt));
  if (endsAt < bytes.length) throw tooManyValues(text);
  const value = parse(text);
  if (countKeys(value) < members) throw repeatedMember(text);
  return value;
}

/**
 * Counts the members of all objects by their colons, and stops at the first value above the limit. No byte of a
 * structural character is part of another character in UTF-8.
 */
function measure(bytes: Buffer, valuesMax: number): { members: number; endsAt: number } {
  let [depth, values, members, quoted] = [0, 0, 0, false];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      quoted = !quoted;
    } else if (quoted) {
      at += byte === BACKSLASH ? 1 : 0;
    } else if (OPENING.has(byte)) {
      depth += 1;
      values += 1;
    } else if (CLOSING.has(byte)) {
      depth -= 1;
    } else if (byte === COMMA) {
      values += 1;
    } else if (byte === COLON) {
      members += 1;
    }
    if (depth > DEPTH_MAX) throw new Problem(HTTP_PROBLEMS.JSON_TOO_DEEP);
    if (values > valuesMax) return { members, endsAt: at };
  }
  return { members, endsAt: bytes.length };
}

/** `text` ends before the first value above the limit. A syntax error before that has precedence. */
function tooManyValues(text: string): Problem {
  visit(text, {
    onError: (code, offset, length, row, place) => {
      if (offset < text.length) refuseAt(code, offset, length, row, place);
    },
  });
  return new Problem(HTTP_PROBLEMS.JSON_TOO_MANY_VALUES);
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Problem(HTTP_PROBLEMS.JSON_NOT_UTF8, { cause });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The message of V8 quotes the input and often has no position.
    visit(text, { onError: refuseAt }, { disallowComments: true });
    throw new Problem(HTTP_PROBLEMS.JSON_MALFORMED);
  }
}

/** Throws at the first syntax error, because a long body can have millions. */
function refuseAt(
  _code: number,
  offset: number,
  _length: number,
  row: number,
  place: number,
): void {
  const position = { offset, line: row + 1, column: place + 1 };
  const detail = `At line ${position.line}, column ${position.column}`;
  throw new Problem(HTTP_PROBLEMS.JSON_MALFORMED, { detail, position });
}

/** JSON.parse keeps the last of several members with one name, so a repeated name leaves fewer keys than members in the text. */
function countKeys(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const children: unknown[] = Object.values(value);
  const own = Array.isArray(value) ? 0 : children.length;
  return children.reduce<number>((sum, child) => sum + countKeys(child), own);
}

function repeatedMember(text: string): Problem {
  const open: Set<string>[] = [];
  let repeated = "";
  visit(text, {
    onObjectBegin: () => void open.push(new Set()),
    onObjectProperty: (name) => {
      if (open.at(-1)?.has(name)) repeated ||= name;
      open.at(-1)?.add(name);
    },
    onObjectEnd: () => void open.pop(),
  });
  const errors = [{ field: repeated.slice(0, NAME_MAX), reason: "is repeated" }];
  return new Problem(HTTP_PROBLEMS.JSON_MEMBER_REPEATED, { errors });
}
