import { describe, expect, it } from "@jest/globals";
import { isTaken, readRefusal } from "../src/relay/smtp-reply.ts";

describe("readRefusal", () => {
  it.each([
    ["550 No", { code: 550, isForNow: false, status: "", text: "No" }],
    ["450", { code: 450, isForNow: true, status: "", text: "" }],
    ["550 5.1.1 No", { code: 550, isForNow: false, status: "1.1", text: "No" }],
    ["550 #5.1.1 No", { code: 550, isForNow: false, status: "1.1", text: "No" }],
    ["550 No (#5.1.1)", { code: 550, isForNow: false, status: "1.1", text: "No" }],
    ["550 4.2.1 No", { code: 550, isForNow: false, status: "", text: "4.2.1 No" }],
    ["450 5.1.1 No", { code: 450, isForNow: true, status: "", text: "5.1.1 No" }],
    ["550 5.7.606 No", { code: 550, isForNow: false, status: "7.606", text: "No" }],
    ["550 5.1.1234 No", { code: 550, isForNow: false, status: "", text: "5.1.1234 No" }],
    [
      "550-5.1.1 No\n550 such user",
      { code: 550, isForNow: false, status: "1.1", text: "No such user" },
    ],
    [
      "550-5.1.1 No\r\n550 5.1.1 such user",
      { code: 550, isForNow: false, status: "1.1", text: "No such user" },
    ],
    [
      "550-No\n554 5.7.1 not you",
      { code: 554, isForNow: false, status: "7.1", text: "No not you" },
    ],
  ])("reads %j", (reply, refusal) => {
    expect(readRefusal(reply)).toEqual(refusal);
  });

  it.each([
    "250 ok",
    "354 go on",
    "150 hello",
    "650 hello",
    "55 short",
    "5500 long",
    "550: No",
    "5.1.1 No",
    "no code",
    "",
    "550-unfinished",
    "550-No\n450 Later",
    "250-ok\n550 No",
    "550-No\na stray line",
    "550-No\n\n550 No",
  ])("reads nothing in %j", (reply) => {
    expect(readRefusal(reply)).toBeUndefined();
  });
});

describe("isTaken", () => {
  it.each([
    ["250 ok", true],
    ["250", true],
    ["250-queued\n250 as 1", true],
    ["250-queued\n251 as 1", true],
    ["354 go on", false],
    ["250-queued\n550 refused", false],
    ["250-queued", false],
    ["250 queued\nstray", false],
    ["2500 queued", false],
    ["2.0.0 queued", false],
    ["", false],
  ])("of %j: %s", (reply, taken) => {
    expect(isTaken(reply)).toBe(taken);
  });
});
