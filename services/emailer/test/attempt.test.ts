import { describe, expect, it } from "@jest/globals";
import type { Delivery } from "@wellsent/amqp";
import { toAttempt } from "../src/delivery/attempt.ts";

const ID = "0199c0de-0000-7000-8000-000000000001";

/** A message on RabbitMQ 3.10, rejected in the emailer's queues `rejections` times. */
function message(rejections: number, crashes: number, isMarked: boolean): Delivery {
  const death = { queue: "emailer", reason: "rejected", count: rejections };
  const headers = {
    ...(rejections > 0 && { "x-death": [death] }),
    "x-delivery-count": crashes,
    ...(isMarked && { "x-maybe-duplicate": true }),
  };
  return {
    queue: rejections === 0 ? "emailer" : "emailer.attempt.1",
    exchange: "emails",
    body: Buffer.alloc(0),
    properties: { messageId: ID, type: "email.v1", headers } as unknown as Delivery["properties"],
    redelivered: crashes > 0,
    brokerVersion: "3.10.8",
    signal: new AbortController().signal,
    dropBody: () => undefined,
  };
}

describe("toAttempt", () => {
  it.each([
    ["a first copy", 0, 0, false, "none", false],
    ["a retry", 1, 0, false, "retry", false],
    ["a redelivered message", 0, 1, false, "copy", true],
    ["a redelivered retry", 2, 1, false, "copy", true],
    ["a marked message", 0, 0, true, "copy", true],
    ["a marked message off its first rung", 1, 0, true, "copy", true],
    ["a marked message on a later rung", 2, 0, true, "copy", true],
  ] as const)("reads the doubt of %s", (_, rejections, crashes, isMarked, doubt, isFlagged) => {
    const attempt = toAttempt(message(rejections, crashes, isMarked));

    expect(attempt).toMatchObject({ doubt, possibleDuplicate: isFlagged, number: rejections + 1 });
  });

  it("has no doubt about a message that this emailer had and gave to no relay", () => {
    const attempt = toAttempt(message(0, 1, false), true);

    expect(attempt).toMatchObject({ doubt: "none", possibleDuplicate: false, crashes: 1 });
  });
});
