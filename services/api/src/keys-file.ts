/** The output of sha256sum: the hash, two spaces (or a space and an asterisk), a name. */
const LINE = /^([\da-f]{64}) [ *]([!-~]{1,64})$/i;

/** The SHA-256 hash of an API key, and its name, which is logged. */
export interface ApiKey {
  hash: Buffer;
  name: string;
}

/** An invalid line. The number of the first line is 1. */
interface FaultyLine {
  number: number;
  text: string;
}

/** Reads the lines of `API_KEYS_FILE`. Empty lines and lines that begin with `#` are ignored. */
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

/** Whether an invalid line may contain an earlier key: it has the hash of the key, or its name as a word. */
export function isAbout({ text }: FaultyLine, { hash, name }: ApiKey): boolean {
  return text.toLowerCase().includes(hash.toString("hex")) || text.split(/[\s*]+/).includes(name);
}
