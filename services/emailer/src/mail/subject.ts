/**
 * Subjects that nodemailer would damage: outer blanks are lost, text that looks like an encoded word is decoded by readers,
 * a word of 78 characters fills more than a line (RFC 5322 §2.1.1), and a long run of blanks becomes a line of blanks only,
 * which RFC 5322 §3.2.2 forbids.
 */
const DAMAGED = /^\s|\s$|=\?|\S{78}|\s{10}/;
/** Characters of an encoded word: each has up to 4 bytes, and the word up to 75 characters (RFC 2047 §2). */
const WORD = /.{1,11}/gsu;

/** Returns the members of nodemailer's message that write a subject so that its reader sees it unchanged. */
export function subjectMembers(subject: string) {
  if (!DAMAGED.test(subject)) return { subject };
  const words = (subject.match(WORD) ?? []).map((word) => Buffer.from(word).toString("base64"));
  const value = words.map((word) => `=?UTF-8?B?${word}?=`).join(" ");
  return { headers: { subject: { prepared: true, foldLines: true, value } } };
}
