import { describe, expect, it } from "@jest/globals";
import type { AuditLine } from "../src/audit-line.ts";
import { createRedaction, type RedactionOptions } from "../src/redaction.ts";
import { line } from "./support.ts";

const SUBJECT = "Your one-time code is 4711";
const hashKey = "a key of at least thirty-two characters";
const hidden = { recipients: "hashed", subject: "omitted", hashKey } as const;

function redact(fields: Partial<AuditLine>, options: RedactionOptions = hidden): AuditLine {
  const known = { recipient: "Ada.Lovelace@Example.com", from: "post@horn.example" };
  return createRedaction(options).line({ ...line(1), ...known, subject: SUBJECT, ...fields });
}

describe("createRedaction", () => {
  it("leaves a line as it is when nothing is to be hidden", () => {
    const given = { ...line(1), subject: SUBJECT, reply: "250 <a@example.com> ok" };

    expect(
      createRedaction({ recipients: "plain", subject: "plain", hashKey: "" }).line(given),
    ).toEqual(given);
  });

  it("hashes the addresses, the same for the same address and key, and leaves the rest", () => {
    const one = redact({ reply: "250 2.0.0 ok" });
    const other = redact({ recipient: "ada.lovelace@example.COM" }, { ...hidden });
    const elsewhere = redact({}, { ...hidden, hashKey: hashKey.toUpperCase() });

    expect(one).toMatchObject({ reply: "250 2.0.0 ok", relay: "relay:25", subject: null });
    expect(one.recipient).toMatch(/^[\da-f]{32}\.[\da-f]{32}$/);
    expect(one.from).toMatch(/^[\da-f]{32}\.[\da-f]{32}$/);
    expect(other.recipient).toBe(one.recipient);
    expect(elsewhere.recipient).not.toBe(one.recipient);
  });

  it("ends a recipient as it says that a domain's do", () => {
    const hashed = createRedaction(hidden);
    const plain = createRedaction({ ...hidden, recipients: "plain" });

    expect(redact({}).recipient?.endsWith(hashed.ending("EXAMPLE.com"))).toBe(true);
    expect(plain.ending("example.com")).toBe("@example.com");
  });

  it.each([
    "550 5.1.1 <Ada.Lovelace@Example.com>: unknown",
    "550 5.1.1 ADA.LOVELACE@EXAMPLE.COM... User unknown",
    "550 no such user: ada.lovelace",
    "550 user ada.lovelace at example.com has moved to countess@other.example",
    "550 \"ada.lovelace\"@example.com, (ada.lovelace@example.com) and 'ada.lovelace'@example.com",
    "550 https://relay.example/why?rcpt=ada.lovelace%40example.com&from=post%40horn.example",
    "550 bounces+ada.lovelace=40example.com@horn.example over quota",
    "550-first line for ada.lovelace@example.com\r\n550 post@horn.example second line",
    "550 cut off in the middle: ada.lovelace@exam",
  ])("leaves no address in the reply %j", (reply) => {
    const { reply: told } = redact({ reply });

    expect(told).toMatch(/^550[ -]/);
    expect(told).not.toMatch(/@|ada|lovelace|example\.com|countess|horn/i);
  });

  it.each([
    `554 5.7.1 Subject "${SUBJECT}" looks like spam`,
    `554 YOUR ONE-TIME CODE IS 4711 is not wanted`,
    "554-Your one-time code\r\n554 is 4711 and was cut in two",
    "554 not wanted: Your one-time co",
    "554 =?UTF-8?B?WW91ciBvbmUtdGltZSBjb2Rl?= =?utf-8?q?is_4711?= refused",
  ])("leaves no quotation of the subject in the reply %j", (reply) => {
    const { reply: told } = redact({ reply });

    expect(told).toMatch(/^554[ -]/);
    expect(told).not.toMatch(/your|one-time|time co|WW91|is_47/i);
  });

  it("hides a short subject only where it stands alone", () => {
    const { reply } = redact({ subject: "Hi", reply: "554 Hi was refused by this machine" });

    expect(reply).toBe("554 [hidden] was refused by this machine");
  });

  it("does not lengthen a reply without end when the subject is what it writes itself", () => {
    const { reply } = redact({ subject: "[hidden] [hidden]", reply: "554 [hidden] [hidden]" });

    expect(reply).toMatch(/^554 ?\[hidden\]/);
  });

  it("hides addresses in a subject that is kept", () => {
    const { subject } = redact(
      { subject: "Welcome, ada.lovelace@example.com!" },
      { ...hidden, subject: "plain" },
    );

    expect(subject).toMatch(/^Welcome, [\da-f.]+!$/);
  });
});
