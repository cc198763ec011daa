import { describe, expect, it } from "@jest/globals";
import { loadConfig } from "../src/config.ts";

const needed = {
  AMQP_URL: "amqp://broker",
  SMTP_URLS: "smtp://relay.example",
  MAIL_FROM: "Ada <ada@horn.example>",
};

describe("loadConfig", () => {
  it("takes the address of MAIL_FROM for the envelope, unless MAIL_ENVELOPE_FROM is set", () => {
    expect(loadConfig(needed).mail.envelopeFrom).toBe("ada@horn.example");
    expect(
      loadConfig({ ...needed, MAIL_ENVELOPE_FROM: "bounces@horn.example" }).mail.envelopeFrom,
    ).toBe("bounces@horn.example");
  });

  it("names everything that is missing", () => {
    expect(() => loadConfig({})).toThrow(
      /AMQP_URL: is required\n.*MAIL_FROM: is required\n.*SMTP_URLS: is required/s,
    );
  });

  it.each([
    ["MAIL_FROM", "no address"],
    ["MAIL_FROM", "Ada\r\nBcc: eve@example.com <ada@horn.example>"],
    ["MAIL_ENVELOPE_FROM", "Ada <ada@horn.example>"],
    ["SMTP_URLS", "http://relay.example"],
    ["SMTP_CONNECTIONS", "none"],
    ["RETRY_LADDER", "1m,10s"],
    ["RETRY_LADDER", "7 fortnights"],
    ["EHLO_NAME", "not a name"],
    ["EHLO_NAME", "3f2a9c1b7d4e"],
    ["PREFETCH", "4711"],
    ["MAX_ATTEMPTS", "many"],
  ])("refuses %s=%j by name and does not print it", (name, value) => {
    const load = () => loadConfig({ ...needed, [name]: value });

    expect(load).toThrow(new RegExp(`^Configuration:\\n  ${name}: `));
    expect(load).not.toThrow(value);
  });

  it.each([
    ["connections=7&rate=10", "3", { connections: 2, rate: { mails: 3, periodMs: 1_000 } }],
    ["connections=2&rate=100/m", "3", { connections: 1, rate: { mails: 33, periodMs: 60_000 } }],
    ["rate=0.5", "4", { connections: 2, rate: { mails: 1, periodMs: 8_000 } }],
    ["rate=14", "1", { connections: 10, rate: { mails: 14, periodMs: 1_000 } }],
  ])("takes its part of %s, shared by %s", (options, SMTP_SHARED_BY, part) => {
    const SMTP_URLS = `smtp://relay.example?${options}`;

    expect(loadConfig({ ...needed, SMTP_URLS, SMTP_SHARED_BY }).relays).toMatchObject([part]);
  });

  it("reads the ladder in seconds", () => {
    expect(loadConfig({ ...needed, RETRY_LADDER: "5s,2m,1h" })).toMatchObject({
      ladder: { seconds: [5, 120, 3_600] },
    });
  });
});
