import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { simpleParser } from "mailparser";
import {
  allReady,
  sendMany,
  startSystem,
  twice,
  type Name,
  type System,
} from "../support/system.ts";
import { waitFor } from "@wellsent/testing";

let system: System;
const laterOnce = new Set<string>();

beforeAll(async () => {
  system = await startSystem({
    rule: (address) => {
      if (address.startsWith("refused")) return 550;
      if (!address.startsWith("later") || laterOnce.has(address)) return undefined;
      laterOnce.add(address);
      return 450;
    },
  });
  await allReady(system);
});

afterAll(() => system.stop());

describe("POST /send to inbox and audit log", () => {
  it("delivers a text unchanged: umlauts, emoji, dots at line starts, long lines, CRLF", async () => {
    const body = [
      "Grüße 🎉",
      ".",
      ".dot",
      "..two",
      "x".repeat(3_000),
      "trailing space ",
      "\ttab",
      "=3D",
      "",
    ].join("\r\n");

    const answer = await system.send({
      toaddr: "exact@example.com",
      subject: "Zurück 📯 = ?=",
      body,
    });

    expect(answer).toMatchObject({ status: 202 });
    const taken = await waitFor("the mail", () =>
      system.sink.taken.find((mail) => mail.to === "exact@example.com"),
    );
    const mail = await simpleParser(taken.raw);
    expect(mail.subject).toBe("Zurück 📯 = ?=");
    expect(mail.text?.replaceAll("\n", "\r\n")).toBe(body);
    expect(taken.messageId).toBe(answer.id);
  });

  it("carries 2,000 emails of 32 clients: each accepted, taken, sent and recorded once", async () => {
    const before = system.sink.taken.length;

    const answers = await sendMany(system, 2_000, 32);

    expect(answers.filter((answer) => answer.status !== 202)).toEqual([]);
    const ids = new Set(answers.map((answer) => answer.id));
    const ours = (kind: string) =>
      system.audit().filter((line) => line.kind === kind && ids.has(line.id));
    await waitFor("2,000 sent lines", () => ours("email.sent").length >= 2_000, 60_000);
    expect(ids.size).toBe(2_000);
    expect(system.sink.taken.length - before).toBe(2_000);
    expect(twice(ours("email.sent").map((line) => line.id))).toEqual([]);
    expect(ours("email.accepted")).toHaveLength(2_000);
    expect(twice(system.audit().map((line) => line.eventId))).toEqual([]);
    expect(ours("email.sent").filter((line) => line.possibleDuplicate)).toEqual([]);
  });

  it("ends each of 50 recipients by itself: 45 sent, 3 refused for good, 2 later", async () => {
    const names = [...Array<string>(3).fill("refused"), ...Array<string>(2).fill("later")];
    const toaddr = Array.from(
      { length: 50 },
      (_, index) => `${names[index] ?? "fine"}${index}@example.org`,
    );

    const { id } = await system.send({ toaddr, subject: "To fifty", body: "One body" });

    const ended = () =>
      system
        .audit()
        .filter((line) => line.id === id && ["email.sent", "email.failed"].includes(line.kind));
    await waitFor("50 ends", () => ended().length >= 50, 30_000);
    expect(new Set(ended().map((line) => line.recipient))).toEqual(new Set(toaddr));
    expect(
      ended()
        .filter((line) => line.kind === "email.failed")
        .map((line) => line.recipient)
        .sort(),
    ).toEqual(toaddr.slice(0, 3));
    expect(
      ended()
        .filter((line) => line.attempt === 2)
        .map((line) => line.recipient)
        .sort(),
    ).toEqual(toaddr.slice(3, 5));
    expect(
      twice(system.sink.taken.filter((mail) => mail.messageId === id).map((mail) => mail.to)),
    ).toEqual([]);
    expect(
      system.audit().filter((line) => line.id === id && line.kind === "email.accepted"),
    ).toHaveLength(50);
  });
});

describe("GET /metrics", () => {
  it.each<Name>(["api", "emailer", "logger"])(
    "names counters and only counters with _total: %s",
    async (name) => {
      const text = await (await fetch(`${system.services[name].admin}/metrics`)).text();

      const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, metric = "", type]) => ({
        metric,
        type,
      }));
      expect(types.length).toBeGreaterThan(20);
      expect(
        types.filter(({ metric, type }) => metric.endsWith("_total") !== (type === "counter")),
      ).toEqual([]);
      expect(text).not.toMatch(/^# HELP \S+ *$/m);
    },
  );
});
