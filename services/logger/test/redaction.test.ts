import { describe, expect, it } from "@jest/globals";
import type { AuditLine } from "../src/audit/line.ts";
import { createRedaction, type RedactionOptions } from "../src/audit/redaction.ts";
import { seeded } from "@wellsent/testing";
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

    expect(one).toMatchObject({ reply: "250 2.0.0", relay: "relay:25", subject: null });
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

  it.each<[string, RedactionOptions]>([
    ["addresses", { ...hidden, subject: "plain" }],
    ["subjects", { ...hidden, recipients: "plain" }],
  ])("keeps of a reply what cannot quote, when %s are hidden", (_, options) => {
    const replies = [
      "550 5.1.1 <Ada.Lovelace@Example.com>: unknown",
      "550-first line for ada.lovelace@example.com\r\n550 post@horn.example second line",
      "550-5.7.26 bounces+ada.lovelace=40example.com@horn.example over quota",
      "550 =?UTF-8?B?WW91ciBvbmUtdGltZSBjb2Rl?= refused",
      "550",
    ];

    const told = replies.map((reply) => redact({ reply }, options).reply);

    expect(told).toEqual(["550 5.1.1", "550", "550-5.7.26", "550", "550"]);
  });

  it("keeps nothing of a relay's reply but a status, however sloppy the relay", () => {
    const { pick, whole } = seeded(2_821);
    const codes = ["", "250", "2.0.0", "5.1.1", "25", "2500", "550", "x550", " 250", "-", "٢٥٠"];
    const gaps = ["", " ", "-", "\t", "\r\n", "\u00a0", ".", ": ", "\0"];
    const texts = [
      "ada@example.com",
      "<ada@example.com>",
      "5.1.123@example.com",
      "1.2.3 ada",
      SUBJECT,
    ];
    const sloppy = () =>
      Array.from({ length: whole(1, 4) }, () => pick(codes) + pick(gaps) + pick(texts)).join(
        pick(gaps),
      );

    const replies = Array.from({ length: 5_000 }, sloppy);
    const told = replies.map((reply) => redact({ reply }).reply);

    const statuses = /^(250|550)([ -](2\.0\.0|5\.1\.1|1\.2\.3))?$/;
    expect(told.filter((reply) => reply !== null && !statuses.test(reply))).toEqual([]);
    expect(new Set(told).size).toBeGreaterThan(5);
  });

  it("keeps our own words, which quote nothing", () => {
    const reply = "20 emailers died or lost their connection with it";

    expect(redact({ relay: null, reply }).reply).toBe(reply);
  });

  it("hides addresses in a subject that is kept", () => {
    const { subject } = redact(
      { subject: "Welcome, ada.lovelace@example.com!" },
      { ...hidden, subject: "plain" },
    );

    expect(subject).toBe("Welcome, [hidden]!");
  });
});
