/** As sha256sum writes it: the hash, two blanks (or one and an asterisk), a name. */
const LINE = /^([\da-f]{64}) [ *]([!-~]{1,64})$/i;

/** An API key: its SHA-256, and the name by which it is logged. */
export interface ApiKey {
  hash: Buffer;
  name: string;
}

/** A line that is no key, with its number from 1. */
interface FaultyLine {
  number: number;
  text: string;
}

/** Reads the lines of `API_KEYS_FILE`. Empty lines and lines that begin with `#` say nothing. */
export function parseKeys(text: string): { keys: ApiKey[]; faulty: FaultyLine[] } {
  const keys: ApiKey[] = [];
  const faulty: FaultyLine[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const [, hash, name] = LINE.exec(trimmed) ?? [];
    if (hash === undefined || name === undefined) faulty.push({ number: index + 1, text: trimmed });
    else keys.push({ hash: Buffer.from(hash, "hex"), name });
  }
  return { keys, faulty };
}

/** Whether a faulty line may be a key that was there before: it has the key's hash, or its name as a word. */
export function isAbout({ text }: FaultyLine, { hash, name }: ApiKey): boolean {
  return text.toLowerCase().includes(hash.toString("hex")) || text.split(/[\s*]+/).includes(name);
}
