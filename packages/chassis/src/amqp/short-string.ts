/** AMQP 0-9-1 §4.2.5.3: octets of a short string, which properties are. */
const SHORT_STRING_MAX = 255;

/**
 * A property of a message if it can be published again. One that came with bytes that are not UTF-8 has grown by
 * reading, and would be refused at every attempt.
 */
export function shortString(text: unknown): string | undefined {
  const fits =
    typeof text === "string" && text !== "" && Buffer.byteLength(text) <= SHORT_STRING_MAX;
  return fits ? text : undefined;
}
