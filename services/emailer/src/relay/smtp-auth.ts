import { createHmac } from "node:crypto";
import type { SmtpConnection } from "./smtp-connection.ts";
import { SmtpError } from "./smtp-error.ts";
import type { Reply } from "./reply-reader.ts";

/** User and password. */
interface Credentials {
  user: string;
  pass: string;
}

/** SASL mechanisms in order of preference. PLAIN is tried if the relay offers none of them: its reply names the reason. */
const MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5"] as const;

/**
 * Authenticates (RFC 4954). `timeoutMs` is for each reply. Sends nothing for an empty password, nor for NUL in either text:
 * PLAIN separates its fields by NUL (RFC 4616 §2). @throws {SmtpError} EAUTH
 */
export async function authenticate(
  connection: SmtpConnection,
  { user, pass }: Credentials,
  timeoutMs: number,
): Promise<void> {
  if (pass === "" || `${user}${pass}`.includes("\0")) throw new SmtpError("EAUTH", "AUTH");
  const offered = connection.extensions.get("AUTH")?.split(" ") ?? [];
  const mechanism = MECHANISMS.find((each) => offered.includes(each)) ?? "PLAIN";
  const say = (line: string) => connection.command("AUTH", line, timeoutMs);
  const answer = {
    PLAIN: () => say(`AUTH PLAIN ${base64(`\0${user}\0${pass}`)}`),
    LOGIN: async () => {
      challengeOf(await say("AUTH LOGIN"));
      challengeOf(await say(base64(user)));
      return say(base64(pass));
    },
    "CRAM-MD5": async () => {
      const challenge = challengeOf(await say("AUTH CRAM-MD5"));
      const digest = createHmac("md5", pass).update(challenge).digest("hex");
      return say(base64(`${user} ${digest}`));
    },
  };
  const reply = await answer[mechanism]();
  if (reply.code < 200 || reply.code > 299) throw new SmtpError("EAUTH", "AUTH", { reply });
}

function challengeOf(reply: Reply): Buffer {
  if (reply.code !== 334) throw new SmtpError("EAUTH", "AUTH", { reply });
  return Buffer.from(reply.text.slice(4), "base64");
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
