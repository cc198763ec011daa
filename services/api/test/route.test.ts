import { describe, expect, it } from "@jest/globals";
import { isEmailId } from "@wellsent/contract";
import { PublishRefused, PublishUnknown } from "@wellsent/runtime";
import request from "supertest";
import { createTestApp, EMAIL } from "./support.ts";

interface Answer {
  id?: string;
  outcome?: string;
}

/** Sends the test's email to an API whose publisher fails with this error, or stores the message. */
async function send(error?: Error) {
  const publish = error && (() => Promise.reject(error));
  const { app, published, registry } = createTestApp(publish && { publish });
  const response = await request(app).post("/send").send(EMAIL);
  const accepted = await registry.getSingleMetricAsString("wellsent_emails_accepted_total");
  return { answer: response.body as Answer, status: response.status, published, accepted };
}

describe("createSendHandler", () => {
  it("publishes under the id that it answers, and counts the email", async () => {
    const { answer, status, published, accepted } = await send();

    expect(status).toBe(202);
    expect(isEmailId(answer.id)).toBe(true);
    expect(published).toMatchObject([{ exchange: "emails", routingKey: "", messageId: answer.id }]);
    expect(accepted).toContain("wellsent_emails_accepted_total 1");
  });

  it("returns the id of an email whose outcome is unknown, and does not count it", async () => {
    const { answer, status, accepted } = await send(new PublishUnknown("AMQP_NACKED", ""));

    expect([status, answer.outcome, isEmailId(answer.id)]).toEqual([503, "unknown", true]);
    expect(accepted).toContain("wellsent_emails_accepted_total 0");
  });

  it("returns no id of an email that was refused", async () => {
    const { answer, status } = await send(new PublishRefused("AMQP_BLOCKED", ""));

    expect([status, answer.outcome, answer.id]).toEqual([503, "not_accepted", undefined]);
  });
});
