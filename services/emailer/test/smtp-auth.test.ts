import { afterEach, describe, expect, it } from "@jest/globals";
import { connect } from "node:net";
import { once } from "node:events";
import { authenticate } from "../src/relay/smtp-auth.ts";
import { SmtpConnection } from "../src/relay/smtp-connection.ts";
import type { SmtpError } from "../src/relay/smtp-error.ts";
import { startScriptedRelay, type Script } from "./scripted-relay.ts";

const REPLY_MS = 5_000;
const ended: (() => void)[] = [];
const base64 = (text: string) => Buffer.from(text).toString("base64");

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("authenticate", () => {
  it.each([
    ["PLAIN LOGIN CRAM-MD5", "AUTH PLAIN"],
    ["LOGIN PLAIN", "AUTH PLAIN"],
    ["CRAM-MD5 LOGIN", "AUTH LOGIN"],
    ["CRAM-MD5", "AUTH CRAM-MD5"],
    ["XOAUTH2 GSSAPI", "AUTH PLAIN"],
    ["PLAINER", "AUTH PLAIN"],
    ["", "AUTH PLAIN"],
  ])("of the relay's %j chooses %s", async (offered, chosen) => {
    const { said } = await tryWith({ offered });

    expect(said[0]).toMatch(new RegExp(`^${chosen}(?: |$)`));
  });

  it("sends PLAIN as in RFC 4616, in one line", async () => {
    const { said, error } = await tryWith({
      offered: "PLAIN",
      credentials: { user: "tim", pass: "tanstaaftanstaaf" },
    });

    expect(said).toEqual(["AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm"]);
    expect(error).toBeUndefined();
  });

  it("sends LOGIN in three lines, whatever the challenges say", async () => {
    const { said, error } = await tryWith({
      offered: "LOGIN",
      challenges: ["334 VXNlcm5hbWU6", "334 anything"],
      credentials: { user: "ada", pass: "pa ss:word" },
    });

    expect(said).toEqual(["AUTH LOGIN", base64("ada"), base64("pa ss:word")]);
    expect(error).toBeUndefined();
  });

  it("answers the challenge of RFC 2195 with its digest", async () => {
    const challenge = base64("<1896.697170952@postoffice.reston.mci.net>");
    const { said, error } = await tryWith({
      offered: "CRAM-MD5",
      challenges: [`334 ${challenge}`],
      credentials: { user: "tim", pass: "tanstaaftanstaaf" },
    });

    expect(said).toEqual(["AUTH CRAM-MD5", base64("tim b913a602c7eda7a495b4e6e7334d3890")]);
    expect(error).toBeUndefined();
  });

  it.each([
    ["PLAIN", base64("\0ädä\0pässwörd ✓"), 0],
    ["LOGIN", base64("pässwörd ✓"), 2],
  ])("sends UTF-8 as it is with %s", async (offered, encoded, line) => {
    const { said } = await tryWith({
      offered,
      challenges: ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"],
      credentials: { user: "ädä", pass: "pässwörd ✓" },
    });

    expect(said[line]).toContain(encoded);
  });

  it("digests a password of UTF-8 and one longer than a block of MD5", async () => {
    const challenge = `334 ${base64("<1@relay.example>")}`;
    const digestOf = async (pass: string) => {
      const { said } = await tryWith({
        offered: "CRAM-MD5",
        challenges: [challenge],
        credentials: { user: "u", pass },
      });
      return Buffer.from(said[1] ?? "", "base64").toString();
    };

    // Made with `openssl dgst -md5 -hmac`.
    expect(await digestOf("pässwörd ✓")).toBe("u bdc5c04a74b294f6a0d440ab3dfeeca2");
    expect(await digestOf("x".repeat(100))).toBe("u 91974869356fe127096894b8c05f2507");
  });

  it.each([
    ["an empty password", { user: "ada", pass: "" }],
    ["a password with NUL", { user: "ada", pass: "se\0cret" }],
    ["a user with NUL", { user: "a\0da", pass: "secret" }],
  ])("refuses %s, and sends nothing", async (_, credentials) => {
    for (const offered of ["PLAIN", "LOGIN", "CRAM-MD5"]) {
      const { said, error } = await tryWith({ offered, credentials });

      expect(error).toMatchObject({ code: "EAUTH", command: "AUTH", reply: undefined });
      expect(said).toEqual([]);
    }
  });

  it.each([
    ["PLAIN", ["535 5.7.8 no"], 1],
    ["PLAIN", ["334 more"], 1],
    ["PLAIN", ["421 4.3.2 closing"], 1],
    ["LOGIN", ["504 5.5.4 no"], 1],
    ["LOGIN", ["334 VXNlcm5hbWU6", "535 5.7.8 no"], 2],
    ["LOGIN", ["334 VXNlcm5hbWU6", "235 2.7.0 already"], 2],
    ["LOGIN", ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "535 5.7.8 no"], 3],
    ["CRAM-MD5", ["454 4.7.0 later"], 1],
    ["CRAM-MD5", ["334 PDFAcj4=", "535 5.7.8 no"], 2],
  ])("with %s and the replies %j fails after line %i", async (offered, replies, lines) => {
    const { said, error } = await tryWith({ offered, challenges: replies });

    expect(error).toMatchObject({ code: "EAUTH", command: "AUTH" });
    expect(error?.reply?.text).toBe(replies.at(-1));
    expect(said).toHaveLength(lines);
  });

  it("quotes neither user nor password in its error", async () => {
    const { error } = await tryWith({
      offered: "LOGIN",
      challenges: ["535 5.7.8 no"],
      credentials: { user: "hidden-user", pass: "hidden-pass" },
    });

    expect(error?.message).toBe("EAUTH at AUTH");
    expect(JSON.stringify(error)).not.toContain("hidden");
  });
});

interface Attempt {
  /** The parameters of AUTH in the reply to EHLO. */
  offered: string;
  /** The replies in order; after them, and by default, 235. */
  challenges?: readonly string[];
  credentials?: { user: string; pass: string };
}

async function tryWith({ offered, challenges = [], credentials }: Attempt) {
  const said: string[] = [];
  const script: Script = (phase, line) => {
    if (phase === "greeting") return undefined;
    const reply = challenges[said.length] ?? "235 2.7.0 ok";
    said.push(line);
    return reply;
  };
  const relay = await startScriptedRelay(script);
  ended.push(relay.close);
  const socket = connect(relay.port, "127.0.0.1");
  await once(socket, "connect");
  const connection = new SmtpConnection(socket, REPLY_MS);
  ended.push(() => void connection.destroy("EABORT"));
  await connection.read("CONN", REPLY_MS);
  connection.extensions = new Map(offered === "" ? [] : [["AUTH", offered]]);
  const trying = authenticate(connection, credentials ?? { user: "u", pass: "p" }, REPLY_MS);
  const error = await trying.then(
    () => undefined,
    (error: unknown) => error as SmtpError,
  );
  return { said, error };
}
