/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- winston's types import one class in several ways */
import { PassThrough } from "node:stream";
import { describe, expect, it } from "@jest/globals";
import winston from "winston";
import type { AuditLine } from "../src/audit/line.ts";
import { createRecord } from "../src/audit/sinks.ts";
import { line } from "./support.ts";

describe("createRecord", () => {
  it("resolves when the line stands, and holds up no other line until then", async () => {
    const waiting: { line: AuditLine; stands: () => void }[] = [];
    const stream = new PassThrough();
    const record = createRecord(
      (each, stands) => waiting.push({ line: each, stands }),
      new winston.transports.Stream({ stream }),
    );
    const recorded: string[] = [];

    const all = Array.from({ length: 100 }, async (_, event) => {
      await record(line(event));
      recorded.push(String(event));
    });

    expect(waiting.map((each) => each.line.eventId)).toHaveLength(100);
    expect(recorded).toEqual([]);
    waiting[7]?.stands();
    await all[7];
    expect(recorded).toEqual(["7"]);
    expect(String(stream.read()).split("\n")[0]).toMatch(/^sent .* to a@example.com via relay:25/);
  });
});
