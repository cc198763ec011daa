/** An email has fewer than 100 values. A list of small values needs up to fifty times its bytes in JavaScript. */
export const VALUES_MAX = 10_000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const OPENING = new Set([0x5b, 0x7b]);

/**
 * Whether JSON in UTF-8 has more than {@link VALUES_MAX} commas and opening brackets outside of strings. The function counts
 * bytes, so it needs no memory for values. No byte of these characters is part of another character in UTF-8.
 */
export function hasTooManyValues(json: Buffer): boolean {
  let values = 0;
  let quoted = false;
  for (let at = 0; at < json.length && values <= VALUES_MAX; at += 1) {
    const byte = json[at] ?? 0;
    if (byte === QUOTE) {
      quoted = !quoted;
    } else if (quoted) {
      at += byte === BACKSLASH ? 1 : 0;
    } else if (byte === COMMA || OPENING.has(byte)) {
      values += 1;
    }
  }
  return values > VALUES_MAX;
}
