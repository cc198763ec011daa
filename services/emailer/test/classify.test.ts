import { describe, expect, it } from "@jest/globals";
import { ERROR_CODES } from "nodemailer/lib/errors";
import {
  classify,
  explainBriefly,
  isAuthRefused,
  isThrottled,
  type Fault,
} from "../src/relay/classify.ts";
import { seeded } from "@wellsent/testing";

const CODES = [...Object.keys(ERROR_CODES), "UNKNOWN", "ECONNRESET"];
const OPENING = ["CONN", "EHLO", "HELO", "STARTTLS", "AUTH PLAIN", "AUTH LOGIN", "RSET"];
const COMMANDS = [...OPENING, "MAIL FROM", "RCPT TO", "DATA", "API", ""];
const CODED = [200, 354, 421, 432, 450, 451, 452, 454, 500, 503, 530, 534, 535, 538, 550, 552, 554];
/** RFC 3463: a class, a subject, a detail. */
const ENHANCED = [
  "",
  "4.2.1 ",
  "4.3.2 ",
  "4.7.0 ",
  "4.7.1 ",
  "4.7.500 ",
  "5.1.1 ",
  "5.7.1 ",
  "5.7.8 ",
];
const REPLIES = [
  undefined,
  ...CODED.flatMap((code) => ENHANCED.map((status) => `${code} ${status}words`)),
];
const UNSENDABLE = /^(EENVELOPE|EMESSAGE|ESTREAM|EMAXRECIPIENTS|EFILEACCESS|EURLACCESS|EFETCH)$/;

const everyFault = CODES.flatMap((code) =>
  COMMANDS.flatMap((command) =>
    REPLIES.flatMap((response) =>
      [true, false].flatMap((bodyRead) => {
        const replied =
          response === undefined ? {} : { response, responseCode: Number(response.slice(0, 3)) };
        const begun = [true, ...(bodyRead ? [] : [false])];
        return begun.map((each): Fault => ({ code, command, ...replied, begun: each, bodyRead }));
      }),
    ),
  ),
);
const where = (condition: (fault: Fault) => boolean) => [
  ...new Set(everyFault.filter(condition).map(classify)),
];

describe("classify", () => {
  it("has one verdict for every fault", () => {
    expect(everyFault.length).toBeGreaterThan(100_000);
    expect(new Set(where(() => true))).toEqual(
      new Set(["deferred", "failed", "sender-refused", "relay", "ambiguous"]),
    );
  });

  it("never fails or parks anybody's mail for what happens before MAIL", () => {
    const inOpening = ({ command, bodyRead }: Fault) => OPENING.includes(command) && !bodyRead;

    expect(where((fault) => inOpening(fault) && fault.responseCode !== undefined)).toEqual([
      "relay",
    ]);
    expect(where((fault) => inOpening(fault) && !UNSENDABLE.test(fault.code))).toEqual(["relay"]);
  });

  it("never calls a connection that was lost after the final dot anything but ambiguous", () => {
    const lost = ({ code, command, responseCode, bodyRead }: Fault) =>
      bodyRead && responseCode === undefined && command === "CONN" && !UNSENDABLE.test(code);

    expect(where(lost)).toEqual(["ambiguous"]);
  });

  it("takes every 421 before the final dot for the relay's trouble", () => {
    expect(where(({ responseCode, bodyRead }) => responseCode === 421 && !bodyRead)).toEqual([
      "relay",
    ]);
  });

  it("fails for good only what the relay refused for good, or what cannot be sent", () => {
    const grounds = everyFault
      .filter((fault) => classify(fault) === "failed")
      .filter(({ code, responseCode = 0, command }) => {
        const refused = responseCode >= 500 && command !== "MAIL FROM";
        return !refused && !UNSENDABLE.test(code);
      });

    expect(grounds).toEqual([]);
  });

  it("goes by the first digit of a code, however many there are, and fails nothing for what is no refusal", () => {
    const { whole, pick } = seeded(5_321);
    const known = new Set([421, 503, 530, 534, 535, 538]);
    const codes = Array.from({ length: 10_000 }, () => whole(-9, 10 ** whole(1, 9))).concat(
      4,
      5,
      51,
      5_111,
    );

    for (const responseCode of codes.filter((code) => !known.has(code))) {
      const command = pick(["MAIL FROM", "RCPT TO", "DATA"]);
      const refused = command === "MAIL FROM" ? "sender-refused" : "failed";
      const fault = { code: "EENVELOPE", command, responseCode, begun: true, bodyRead: false };
      const verdict = String(responseCode).startsWith("5") ? refused : "deferred";
      expect([responseCode, command, classify(fault)]).toEqual([responseCode, command, verdict]);
    }
  });

  it("lets a refusal for a while at RCPT go down the ladder, whatever its enhanced status", () => {
    const later = ({ code, command, responseCode }: Fault) =>
      code === "EENVELOPE" && command === "RCPT TO" && /^45\d$/.test(String(responseCode));

    expect(where(later)).toEqual(["deferred"]);
  });
});

describe("isThrottled", () => {
  it.each([
    ["421 4.3.2 closing", "DATA", true],
    ["421 too many", "RCPT TO", true],
    ["451 4.7.0 slow down", "MAIL FROM", true],
    ["450-4.7.1 slow\n450 4.7.1 down", "DATA", true],
    ["451 4.7.1 greylisted", "RCPT TO", false],
    ["451 4.3.0 later", "MAIL FROM", false],
    ["550 5.7.1 no", "MAIL FROM", false],
  ])("of %j at %s is %s", (response, command, throttled) => {
    const fault = {
      code: "EENVELOPE",
      command,
      response,
      responseCode: Number(response.slice(0, 3)),
    };

    expect(isThrottled({ ...fault, begun: true, bodyRead: false })).toBe(throttled);
  });
});

describe("isAuthRefused", () => {
  it.each<[string, Partial<Fault>, boolean]>([
    ["a wrong password", { code: "EAUTH", command: "AUTH PLAIN", responseCode: 535 }, true],
    ["no password", { code: "EAUTH", command: "API" }, true],
    [
      "authentication required",
      { code: "EENVELOPE", command: "MAIL FROM", responseCode: 530 },
      true,
    ],
    [
      "a relay that cannot check",
      { code: "EAUTH", command: "AUTH PLAIN", responseCode: 454 },
      false,
    ],
    ["a connection lost in it", { code: "ECONNECTION", command: "CONN" }, false],
    ["a refused recipient", { code: "EENVELOPE", command: "RCPT TO", responseCode: 550 }, false],
  ])("%s", (_, fault, refused) => {
    expect(isAuthRefused({ code: "", command: "", begun: false, bodyRead: false, ...fault })).toBe(
      refused,
    );
  });
});

describe("explainBriefly", () => {
  it("never quotes a relay, which may quote a recipient", () => {
    const words = everyFault.map((fault) => explainBriefly(fault));

    expect(words.filter((text) => text.includes("words"))).toEqual([]);
  });
});
