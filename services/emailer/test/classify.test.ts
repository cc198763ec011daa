import { describe, expect, it } from "@jest/globals";
import { ERROR_CODES } from "nodemailer/lib/errors";
import { classify, type Fault } from "../src/classify.ts";

const CODES = [...Object.keys(ERROR_CODES), "UNKNOWN", "ECONNRESET"];
const COMMANDS = [
  "CONN",
  "EHLO",
  "HELO",
  "STARTTLS",
  "AUTH PLAIN",
  "MAIL FROM",
  "RCPT TO",
  "DATA",
  "API",
  "",
];
const REPLIES = [undefined, 200, 354, 421, 450, 451, 452, 454, 503, 530, 535, 550, 552, 554];

const everyFault = CODES.flatMap((code) =>
  COMMANDS.flatMap((command) =>
    REPLIES.flatMap((responseCode) =>
      [true, false].map((bodyRead): Fault => ({
        code,
        command,
        bodyRead,
        ...(responseCode ? { responseCode } : {}),
      })),
    ),
  ),
);

describe("classify", () => {
  it("has one verdict for every fault", () => {
    const verdicts = new Set(everyFault.map(classify));

    expect(verdicts).toEqual(
      new Set(["deferred", "failed", "sender-refused", "relay", "ambiguous"]),
    );
  });

  it("never fails or parks anybody's mail for what happens before MAIL", () => {
    const opening = everyFault.filter(
      ({ command, bodyRead }) => /^(CONN|EHLO|HELO|STARTTLS|AUTH)/.test(command) && !bodyRead,
    );
    const unsendable = new Set([
      "EENVELOPE",
      "EMESSAGE",
      "ESTREAM",
      "EMAXRECIPIENTS",
      "EFILEACCESS",
      "EURLACCESS",
      "EFETCH",
    ]);

    const verdicts = opening
      .filter(({ code, responseCode }) => responseCode !== undefined || !unsendable.has(code))
      .map(classify);

    expect(new Set(verdicts)).toEqual(new Set(["relay"]));
  });

  it("never calls a connection that was lost after the final dot anything but ambiguous", () => {
    const lost = ["ECONNECTION", "ETIMEDOUT", "ESOCKET"].map((code) =>
      classify({ code, command: "CONN", bodyRead: true }),
    );

    expect(new Set(lost)).toEqual(new Set(["ambiguous"]));
  });

  it("takes every 421 before the final dot for the relay's trouble", () => {
    const closing = everyFault.filter(
      ({ responseCode, bodyRead }) => responseCode === 421 && !bodyRead,
    );

    expect(new Set(closing.map(classify))).toEqual(new Set(["relay"]));
  });
});
