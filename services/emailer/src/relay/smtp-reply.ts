/** A relay's refusal, taken apart (RFC 5321 §4.2). */
export interface Refusal {
  /** The reply code, 400 to 599. */
  code: number;
  /** Whether it is said to be for now: the code begins with 4. */
  isForNow: boolean;
  /** The subject and detail of the enhanced status (RFC 3463), such as `7.1` of `5.7.1`; empty where there is none. */
  status: string;
  /** The text of all lines in one, without codes. Some relays wrap a sentence over several lines. */
  text: string;
}

/** RFC 5321 §4.2: three digits, then a blank, a hyphen or nothing. The text may hold any character, also U+2028. */
const LINE = /^([2-5]\d\d)(?:([ -])(.*))?$/s;
/** An enhanced status before the text; some relays write a `#` before it, and qmail puts it into parentheses at the end. */
const STATUS = /^\s*#?([245])\.(\d{1,3}\.\d{1,3})\b|\(#([245])\.(\d{1,3}\.\d{1,3})\)/;

/**
 * Takes a refusal apart. Undefined for a reply that is none, or that cannot be read: a line without a code of three digits,
 * lines of different classes, or a code of another class than 4 or 5. Postfix uses the code of the last line, Exim the first digit
 * of the first line.
 */
export function readRefusal(reply: string): Refusal | undefined {
  const lines = readLines(reply);
  const code = lines?.at(-1)?.code;
  if (lines === undefined || code === undefined || code < 400) return undefined;
  const texts = lines.map(({ text }) => textWithoutStatus(text, code));
  const statuses = lines.map(({ text }) => statusOf(text, code));
  return {
    code,
    isForNow: code < 500,
    status: statuses.find((status) => status !== undefined) ?? "",
    text: texts.join(" ").replace(/\s+/g, " ").trim(),
  };
}

/** Whether a reply says that a mail was taken: each of its lines has a code that begins with 2. */
export function isTaken(reply: string): boolean {
  return readLines(reply)?.every(({ code }) => code < 300) ?? false;
}

/** The lines of a reply, all of one class; undefined where one cannot be read. */
function readLines(reply: string): { code: number; text: string }[] | undefined {
  const lines = reply.split(/\r*\n/).map((line) => LINE.exec(line));
  const read = lines.flatMap((line) =>
    line === null ? [] : [{ code: Number(line[1]), text: line[3] ?? "" }],
  );
  const classes = new Set(read.map(({ code }) => Math.floor(code / 100)));
  const isWhole = read.length === lines.length && lines.at(-1)?.[2] !== "-";
  return isWhole && classes.size === 1 ? read : undefined;
}

/** An enhanced status of another class than the code is ignored, as Postfix does. */
function statusOf(text: string, code: number): string | undefined {
  const [, level, detail, lastLevel, lastDetail] = STATUS.exec(text) ?? [];
  return Number(level ?? lastLevel) === Math.floor(code / 100) ? (detail ?? lastDetail) : undefined;
}

function textWithoutStatus(text: string, code: number): string {
  return statusOf(text, code) === undefined ? text : text.replace(STATUS, "");
}
