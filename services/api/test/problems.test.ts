import { describe, expect, it } from "@jest/globals";
import { PublishRefused, PublishUnknown } from "@wellsent/runtime";
import { PROBLEMS, publishProblem } from "../src/problems.ts";

const bodyOf = (error: unknown) =>
  JSON.parse(publishProblem(error, "7")?.format("request").text ?? "null") as unknown;

describe("publishProblem", () => {
  it("reports a refused message as not accepted, without an id", () => {
    const body = bodyOf(new PublishRefused("QUEUE_FULL", "secret"));

    expect(body).toMatchObject({ status: 503, code: "QUEUE_FULL", outcome: "not_accepted" });
    expect(body).not.toHaveProperty("id");
    expect(JSON.stringify(body)).not.toContain("secret");
  });

  it("reports an unknown outcome with the id of the email", () => {
    const body = bodyOf(new PublishUnknown("AMQP_NACKED", ""));

    expect(body).toMatchObject({ status: 503, code: "AMQP_NACKED", outcome: "unknown", id: "7" });
  });

  it("reports a code without a problem as unexpected", () => {
    expect(bodyOf(new PublishRefused("OTHER", ""))).toMatchObject({
      status: 500,
      code: "UNEXPECTED",
    });
  });

  it("returns nothing for another error", () => {
    expect(publishProblem(new Error("AMQP_NACKED"))).toBeUndefined();
  });
});

describe("PROBLEMS", () => {
  it.each(Object.values(PROBLEMS).filter(({ status }) => status === 503))(
    "has a time to wait for $code",
    ({ retryAfter }) => {
      expect(retryAfter).toBeGreaterThan(0);
    },
  );
});
