import { describe, expect, it } from "@jest/globals";
import { acceptedLines, auditLineSchema, describeLine, toLine } from "../src/audit/line.ts";
import { EMAIL_ID, EMAIL_TIME, line } from "./support.ts";

const email = { toaddr: ["a@example.com", "b@example.com"], subject: "Grüße", body: "é" };

describe("acceptedLines", () => {
  it("gives a line for each recipient, with an event id that never changes", () => {
    const lines = acceptedLines(EMAIL_ID, email, false);

    expect(lines.map(({ eventId }) => eventId)).toEqual([
      `${EMAIL_ID}.0.0.accepted`,
      `${EMAIL_ID}.1.0.accepted`,
    ]);
    expect(lines.map(({ recipient }) => recipient)).toEqual(email.toaddr);
  });

  it("takes the time from the email's id and the size in bytes, and leaves the body out", () => {
    const [first] = acceptedLines(EMAIL_ID, { ...email, body: "é§" }, true);

    expect(first).toMatchObject({ time: EMAIL_TIME, bytes: 4, possibleDuplicate: true });
    expect(JSON.stringify(first)).not.toContain("§");
  });
});

describe("the schema of an audit line", () => {
  it("has every key on every line", () => {
    const keys = Object.keys(auditLineSchema.shape);

    for (const each of [...acceptedLines(EMAIL_ID, email, false), line(1)]) {
      expect(Object.keys(auditLineSchema.parse(each))).toEqual(keys);
      expect(Object.keys(each).sort()).toEqual(keys.toSorted());
    }
  });

  it("has null for what an outcome does not know", () => {
    const outcome = {
      kind: "email.parked" as const,
      delivery: `${EMAIL_ID}.2.1`,
      time: "2026-11-23T12:00:00Z",
      attempt: 1,
      possibleDuplicate: false,
    };

    expect(toLine("e", outcome)).toMatchObject({ id: EMAIL_ID, recipient: null, relay: null });
  });
});

describe("describeLine", () => {
  it("says in words what happened", () => {
    expect(describeLine(line(1))).toBe(
      `sent ${EMAIL_ID}.0.0 to a@example.com via relay:25 (250 ok)`,
    );
    expect(describeLine({ ...line(1), possibleDuplicate: true })).toMatch(
      /\[possible duplicate\]$/,
    );
  });

  it("keeps to one line and lets no escape sequence through", () => {
    const told = describeLine({ ...line(1), reply: "250-one\r\n250 \u001b[31mtwo\u009b" });

    expect(told).toMatch(/\(250-one 250 {2}\[31mtwo \)$/);
  });
});
