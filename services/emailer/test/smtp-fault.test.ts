import { describe, expect, it } from "@jest/globals";
import type { SmtpConnection } from "../src/relay/smtp-connection.ts";
import { expectYes, SmtpError } from "../src/relay/smtp-error.ts";
import { toFailed, toFault, type Progress } from "../src/relay/smtp-fault.ts";

const NO = { code: 550, text: "550 5.1.1 no" };
const REFUSED = new SmtpError("EENVELOPE", "RCPT TO", { reply: NO });
const UNREADABLE = new SmtpError("EENVELOPE", "RCPT TO", { reply: { code: 0, text: "hello" } });

describe("toFault", () => {
  it.each([
    ["opening", false, false],
    ["envelope", true, false],
    ["dot", true, true],
  ] as const)("of the phase %s: begun %s, body read %s", (phase, begun, bodyRead) => {
    expect(toFault(new SmtpError("ETIMEDOUT", "DATA"), phase)).toEqual({
      code: "ETIMEDOUT",
      command: "DATA",
      begun,
      bodyRead,
    });
  });

  it("has the relay's reply and its code", () => {
    expect(toFault(REFUSED, "envelope")).toMatchObject({
      code: "EENVELOPE",
      response: NO.text,
      responseCode: 550,
    });
  });

  it("has no refusal of a relay whose lines were out of order", () => {
    const fault = toFault(REFUSED, "envelope", false);

    expect(fault).toMatchObject({ code: "EPROTOCOL", command: "RCPT TO" });
    expect(fault).not.toHaveProperty("response");
    expect(fault).not.toHaveProperty("responseCode");
  });

  it.each([true, false])(
    "quotes a line without a code, without inventing one (%s)",
    (isTrusted) => {
      const fault = toFault(UNREADABLE, "envelope", isTrusted);

      expect(fault).toMatchObject({ response: "hello" });
      expect(fault).not.toHaveProperty("responseCode");
    },
  );

  it("names the system's reason", () => {
    const cause = Object.assign(new Error("hidden"), { code: "ECONNREFUSED" });

    const fault = toFault(new SmtpError("ECONNECTION", "CONN", { cause }), "opening");

    expect(fault).toMatchObject({ code: "ECONNECTION", cause: "ECONNREFUSED" });
    expect(JSON.stringify(fault)).not.toContain("hidden");
  });

  it.each([
    [Object.assign(new Error("x"), { code: "EADDRESS" }), "EADDRESS"],
    [Object.assign(new Error("x"), { code: 7 }), expect.any(String)],
    [new Error("x"), expect.any(String)],
  ])("takes an error of nodemailer for one of the mail (%#)", (error, code) => {
    expect(toFault(error, "opening")).toMatchObject({ code, command: "API", begun: false });
  });
});

describe("toFailed", () => {
  const LOST = new SmtpError("ECONNECTION", "MAIL FROM");
  const progress = (members: Partial<Progress> = {}): Progress => ({
    phase: "envelope",
    isReused: true,
    ...members,
  });

  it.each([
    ["a kept connection was lost at MAIL", LOST, progress(), true],
    ["a new connection was lost at MAIL", LOST, progress({ isReused: false }), false],
    ["it was silent", new SmtpError("ETIMEDOUT", "MAIL FROM"), progress(), false],
    ["it was lost at RCPT", new SmtpError("ECONNECTION", "RCPT TO"), progress(), false],
    ["MAIL was refused", new SmtpError("EENVELOPE", "MAIL FROM", { reply: NO }), progress(), false],
    ["composing failed", new Error("x"), progress(), false],
  ])("calls the connection stale only where nothing was said: %s", (_, error, of, wasStale) => {
    expect(toFailed(error, of)).toMatchObject({ taken: false, wasStale });
  });

  it("believes the refusal of a connection in order only", () => {
    const over = (isSound: boolean) =>
      toFailed(REFUSED, progress({ connection: { isSound } as unknown as SmtpConnection }));

    expect(over(true)).toMatchObject({ fault: { responseCode: 550 } });
    expect(over(false)).toMatchObject({ fault: { code: "EPROTOCOL" } });
  });
});

describe("expectYes", () => {
  it.each(["250 ok", "220-a\n220 b"])("returns the reply %j", (text) => {
    const reply = { code: 250, text };

    expect(expectYes(reply, "EENVELOPE", "RCPT TO")).toBe(reply);
  });

  it.each(["354 go", "550 no", "250-a\n550 b", "hello"])("throws for %j", (text) => {
    const reply = { code: 250, text };

    expect(() => expectYes(reply, "EENVELOPE", "RCPT TO")).toThrow("EENVELOPE at RCPT TO");
  });
});
