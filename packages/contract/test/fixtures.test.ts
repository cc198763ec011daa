import { describe, expect, it } from "@jest/globals";
import { readFileSync } from "node:fs";
import { readAs, readEmail, readOutcome } from "../src/message.ts";
import { answerSchema, leaseSchema, querySchema } from "../src/guard-query.ts";

const ID = "0199c0de-0000-7000-8000-000000000001";

/** Bodies of a published version. They are never changed, because queues may still contain messages like them. */
function fixtures(version: string): object[] {
  return JSON.parse(readFileSync(`packages/contract/fixtures/${version}.json`, "utf8")) as object[];
}

const bytes = (body: object) => Buffer.from(JSON.stringify(body));

describe("readEmail", () => {
  it.each(fixtures("email.v1"))("still reads %j", (body) => {
    const properties = { messageId: ID, type: "email.v1" };

    expect(readEmail({ body: bytes(body), properties })).toMatchObject({
      kind: "email",
      email: body,
    });
  });
});

describe("readOutcome", () => {
  it.each(fixtures("outcome.v1"))("still reads %j", (body) => {
    const properties = { messageId: ID, type: "outcome.v1" };

    expect(readOutcome({ body: bytes(body), properties })).toMatchObject({
      kind: "outcome",
      outcome: body,
    });
  });
});

describe("readAs", () => {
  it.each(fixtures("query.v1"))("still reads %j", (body) => {
    expect(readAs(querySchema, bytes(body))).toEqual(body);
  });

  it.each(fixtures("answer.v1"))("still reads %j", (body) => {
    expect(readAs(answerSchema, bytes(body))).toEqual(body);
  });

  it.each(fixtures("lease.v1"))("still reads %j", (body) => {
    expect(readAs(leaseSchema, bytes(body))).toEqual(body);
  });
});
