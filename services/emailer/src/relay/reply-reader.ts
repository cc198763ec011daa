/** A relay's reply (RFC 5321 §4.2). */
export interface Reply {
  /** The code of its last line; 0 where no line has one. */
  code: number;
  /** All its lines, with their codes, separated by line feeds. */
  text: string;
}

/** A reply is no longer than this, in characters. Real ones are some hundred. */
const REPLY_MAX = 65_536;
const LINE = /^(\d{3})(?:([ -])|$)/;

/**
 * Makes replies of the bytes that a relay sends. A line without a code that comes before a reply is a reply of its own, with
 * the code 0; within a reply it is one of its lines.
 */
export class ReplyReader {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #lines: string[] = [];

  /** Returns the replies that are complete. Empty lines are ignored, and carriage returns at the end of a line. */
  push(chunk: Buffer): Reply[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#add(line.replace(/\r+$/, "")) ?? []);
  }

  /** Whether a relay sends more without an end than any reply has. */
  get isTooLong(): boolean {
    return this.#rest.length + this.#lines.join("\n").length > REPLY_MAX;
  }

  /** Forgets what was received: it came before TLS (RFC 3207 §4.2). Returns whether there was anything. */
  reset(): boolean {
    const had = this.#rest !== "" || this.#lines.length > 0;
    this.#rest = "";
    this.#lines = [];
    return had;
  }

  #add(line: string): Reply | undefined {
    if (line.trim() === "") return undefined;
    const [, code, separator] = LINE.exec(line) ?? [];
    this.#lines.push(line);
    const isInside = this.#lines.length > 1 && code === undefined;
    if (separator === "-" || isInside) return undefined;
    const text = this.#lines.join("\n");
    this.#lines = [];
    return { code: Number(code ?? 0), text };
  }
}
