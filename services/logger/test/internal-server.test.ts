import { describe, expect, it } from "@jest/globals";
import type { Publisher } from "@wellsent/amqp";
import request from "supertest";
import { toLine } from "../src/audit/line.ts";
import { createInternalApp } from "../src/operator-api/server.ts";
import { createPasses } from "../src/parked/pass.ts";
import { createRedaction } from "../src/audit/redaction.ts";
import { auditLog, EMAIL_ID, startLedger, temporaryDirectory, testMetrics } from "./support.ts";

const TOKEN = "a-token-of-at-least-thirty-two-characters";

/** The routes over a ledger in which mail to these recipients is parked, and a broker that is away. */
async function setUp(...recipients: string[]) {
  let gate = Promise.resolve();
  const audit = auditLog(temporaryDirectory());
  const files = audit.files.bind(audit);
  audit.files = () => gate.then(files);
  const { ledger, log } = await startLedger(audit);
  const parked = recipients.map((recipient, index) =>
    toLine(recipient, {
      kind: "email.parked",
      delivery: `${EMAIL_ID}.${String(index)}.0`,
      time: "2025-11-23T12:00:00.000Z",
      recipient,
      reason: "SENDER_REFUSED",
      possibleDuplicate: false,
    }),
  );
  await ledger.add(parked);
  const holdRebuild = () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    gate = promise.then();
    ledger.rebuild();
    return resolve;
  };
  const publisher = { channel: undefined } as unknown as Publisher;
  const passes = createPasses({ publisher, decide: () => Promise.resolve("left"), log });
  const { ending } = createRedaction({ recipients: "plain", subject: "plain", hashKey: "" });
  const app = createInternalApp({
    token: () => TOKEN,
    ledger,
    ending,
    passes,
    publisher,
    metrics: testMetrics().http,
    log,
  });
  const agent = request.agent(app).set("Authorization", `Bearer ${TOKEN}`);
  return { agent, holdRebuild, log };
}

describe("the internal port", () => {
  it.each([
    [{}, /^\$: must have one of `ids`, `filter` and `all`$/],
    [{ all: true, filter: { reason: "CRASHED" } }, /must have one of/],
    [{ filter: {} }, /^filter: must name something; `all` selects everything$/],
    [{ filter: { domain: "%" } }, /^filter\.domain: must be a domain such as example\.com$/],
    [{ filter: { domain: "-xample.com" } }, /^filter\.domain: /],
    [{ filter: { domain: "" } }, /^filter\.domain: /],
    [{ filter: { domain: "@example.com" } }, /^filter\.domain: /],
    [{ filter: { olderThan: null } }, /^filter\.olderThan: must be a number of seconds$/],
    [{ filter: { olderThan: "" } }, /^filter\.olderThan: /],
    [{ filter: { olderThan: 1e18 } }, /^filter\.olderThan: /],
    [{ all: false }, /^all: /],
    [{ filter: { reasons: "CRASHED" } }, /^filter: .*reasons/],
  ])("selects nothing by %j, and says why", async (selection, detail) => {
    const { agent } = await setUp("a@example.com");

    for (const action of ["replay", "delete"]) {
      const answer = await agent.post(`/parked/${action}`).send(selection);
      expect([answer.status, answer.body]).toEqual([
        422,
        expect.objectContaining({
          code: "REQUEST_INVALID",
          detail: expect.stringMatching(detail),
        }),
      ]);
    }
  });

  it.each([
    ["example.com", 2],
    ["EXAMPLE.Com", 2],
    ["sub.example.com", 1],
    ["ample.com", 0],
    ["com", 0],
    ["Bücher.example", 1],
    ["xn--bcher-kva.example", 1],
  ])("lists what is parked for %s, and for no domain above or below", async (domain, total) => {
    const { agent } = await setUp(
      "a@example.com",
      "B@example.com",
      "c@sub.example.com",
      "d@xn--bcher-kva.example",
      "e@other.example",
    );

    const answer = await agent.get("/parked").query({ domain });

    expect(answer.body).toMatchObject({ total });
  });

  it.each([
    [
      "POST",
      "/parked/delete",
      JSON.stringify({ ids: ["x".repeat(1_100_000)] }),
      413,
      "BODY_TOO_LARGE",
    ],
    ["POST", "/parked/delete", "{", 400, "JSON_MALFORMED"],
    ["POST", "/parked/delete", '{"all": true}', 503, "BROKER_AWAY"],
  ] as const)("answers %s %s with a problem document", async (_, path, text, status, code) => {
    const { agent, log } = await setUp();

    const answer = await agent.post(path).send(text);

    expect([answer.status, answer.type]).toEqual([status, "application/problem+json"]);
    expect(JSON.parse(answer.text)).toMatchObject({ status, code });
    expect(log.messages).not.toContain("request failed");
  });

  it("finds an email by its id in capitals", async () => {
    const { agent } = await setUp("a@example.com");

    const answers = await Promise.all([
      agent.get(`/emails/${EMAIL_ID.toUpperCase()}`),
      agent.post("/parked/delete").send({ ids: [`${EMAIL_ID.toUpperCase()}.0.0`] }),
    ]);

    // The broker of this test is down, which is looked at after the ids.
    expect(answers.map(({ status }) => status)).toEqual([200, 503]);
  });

  it.each([
    ["Bearer", 200],
    ["bearer", 200],
    ["BEARER", 200],
    ["Basic", 401],
  ])("asks for the token, with the scheme %s in any case", async (scheme, status) => {
    const { agent } = await setUp();

    const answer = await agent.get("/parked").set("Authorization", `${scheme} ${TOKEN}`);

    expect(answer.status).toBe(status);
    expect(answer.headers["www-authenticate"]).toBe(status === 401 ? "Bearer" : undefined);
  });

  it("describes its routes, and answers 405 and 404 with problem documents", async () => {
    const { agent } = await setUp();

    const [document, method, path] = await Promise.all([
      agent.get("/openapi.json"),
      agent.get("/resume"),
      agent.get("/none"),
    ]);

    const { paths } = document.body as { paths: Record<string, object> };
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(["/emails/{id}", "/parked", "/parked/replay", "/pause", "/resume"]),
    );
    expect([method.status, method.headers["allow"]]).toEqual([405, "POST"]);
    expect(path.type).toBe("application/problem+json");
    expect(JSON.parse(path.text)).toMatchObject({ code: "ROUTE_UNKNOWN", status: 404 });
  });

  it("selects ten thousand ids at once", async () => {
    const { agent } = await setUp();
    const ids = Array.from({ length: 10_000 }, (_, index) => `${EMAIL_ID}.${index}.0`);

    const answer = await agent.post("/parked/delete").send({ ids });

    expect(JSON.parse(answer.text)).toMatchObject({ code: "BROKER_AWAY" });
  });

  it("gives no answer but that it has none while the ledger is being built", async () => {
    const { agent, holdRebuild } = await setUp("a@example.com");
    const release = holdRebuild();

    const answers = await Promise.all([
      agent.get("/parked"),
      agent.get(`/emails/${EMAIL_ID}`),
      agent.post("/parked/replay").send({ filter: { domain: "example.com" } }),
      agent.post("/parked/delete").send({ all: true }),
    ]);

    release(undefined);
    for (const { status, text } of answers) {
      expect([status, JSON.parse(text)]).toEqual([
        503,
        expect.objectContaining({ code: "LEDGER_BROKEN" }),
      ]);
    }
  });
});
