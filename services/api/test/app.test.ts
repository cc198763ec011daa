import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "@wellsent/http";
import { PublishRefused, PublishUnknown } from "@wellsent/runtime";
import { isEmailId, readEmail } from "@wellsent/contract";
import { waitFor } from "@wellsent/testing";
import { describe, expect, it } from "@jest/globals";
import request from "supertest";
import { PROBLEMS } from "../src/problems.ts";
import { createTestApp, EMAIL } from "./support.ts";

interface ProblemBody {
  code: string;
  requestId: string;
  errors: { field: string; reason: string }[];
}

describe("POST /send", () => {
  it("answers 202 with the email of the request and its id", async () => {
    const given = {
      toaddr: ["ada@EXAMPLE.com", "bob@bücher.example"],
      subject: "Grüße 🎺",
      body: "",
    };
    const { app } = createTestApp();

    const response = await request(app).post("/send").send(given);

    const { id, ...rest } = response.body as { id: string };
    expect(response.status).toBe(202);
    expect(rest).toEqual({ ...given, status: "accepted" });
    expect(isEmailId(id)).toBe(true);
    // The API has no route `/emails/{id}`.
    expect(response.headers["location"]).toBeUndefined();
  });

  it("publishes the email once, with normalised addresses, in the contract's form", async () => {
    const { app, published } = createTestApp();

    const response = await request(app)
      .post("/send")
      .send({ ...EMAIL, toaddr: ["ada@EXAMPLE.com", "bob@bücher.example"] });

    const [publication] = published;
    expect(published).toHaveLength(1);
    expect(publication).toMatchObject({ exchange: "emails", routingKey: "", headers: {} });
    expect(Math.abs((publication?.timestamp ?? 0) - Date.now())).toBeLessThan(5_000);
    expect(
      readEmail({ body: publication?.body ?? Buffer.alloc(0), properties: publication ?? {} }),
    ).toEqual({
      kind: "email",
      id: (response.body as { id: string }).id,
      email: { ...EMAIL, toaddr: ["ada@example.com", "bob@xn--bcher-kva.example"] },
    });
  });

  it("answers only after the broker has confirmed", async () => {
    let confirm = (): void => undefined;
    const confirmed = new Promise<void>((resolve) => {
      confirm = resolve;
    });
    const order: string[] = [];
    const { app } = createTestApp({ publish: () => confirmed });

    const answered = request(app)
      .post("/send")
      .send(EMAIL)
      .then(() => order.push("answered"));
    setTimeout(() => {
      order.push("confirmed");
      confirm();
    }, 50);
    await answered;

    expect(order).toEqual(["confirmed", "answered"]);
  });

  it("publishes a valid traceparent", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const { app, published } = createTestApp();

    await request(app).post("/send").set("traceparent", traceparent).send(EMAIL);

    expect(published[0]?.headers).toEqual({ traceparent });
  });

  it.each([
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x",
  ])("ignores the invalid traceparent %s", async (traceparent) => {
    const { app, published } = createTestApp();

    await request(app).post("/send").set("traceparent", traceparent).send(EMAIL);

    expect(published[0]?.headers).toEqual({});
  });

  it.each([
    ["an absent field", { toaddr: "a@b.c", subject: "" }, [["body", "is required"]]],
    ["no object", [], [["$", "must be a JSON object"]]],
    ["null", { ...EMAIL, subject: null }, [["subject", "must be a JSON string"]]],
    ["a number", { ...EMAIL, body: 1 }, [["body", "must be a JSON string"]]],
    ["an unknown field", { ...EMAIL, bcc: "a@b.c" }, [["bcc", "is not a known field"]]],
    [
      "an expiry that has passed",
      { ...EMAIL, expiresAt: "2026-01-01T00:00:00Z" },
      [["expiresAt", "must be in the future"]],
    ],
    [
      "an expiry that is not a time",
      { ...EMAIL, expiresAt: "tomorrow" },
      [["expiresAt", "must be a time such as 2026-11-23T18:00:00Z"]],
    ],
    ["no recipient", { ...EMAIL, toaddr: [] }, [["toaddr", "must have a recipient"]]],
    [
      "an address that is a number",
      { ...EMAIL, toaddr: 1 },
      [["toaddr", "must be an address or a list of addresses"]],
    ],
    [
      "a number in the list",
      { ...EMAIL, toaddr: ["a@b.c", 1] },
      [["toaddr[1]", "must be a JSON string"]],
    ],
    [
      "an address without domain",
      { ...EMAIL, toaddr: "ada" },
      [["toaddr", "must be an address such as name@example.com"]],
    ],
    [
      "a repeated address",
      { ...EMAIL, toaddr: ["a@b.c", "x@b.c", "a@B.c"] },
      [["toaddr[2]", "repeats toaddr[0]"]],
    ],
    [
      "51 recipients",
      { ...EMAIL, toaddr: Array.from({ length: 51 }, (_, n) => `a${n}@b.c`) },
      [["toaddr", "must not have more than 50 recipients"]],
    ],
    [
      "an SMTPUTF8 address",
      { ...EMAIL, toaddr: "käthe@example.com" },
      [["toaddr", "must not have letters outside ASCII before the @ (SMTPUTF8 is not supported)"]],
    ],
    [
      "a long subject",
      { ...EMAIL, subject: "x".repeat(999) },
      [["subject", "must not be longer than 998 characters"]],
    ],
  ])("answers 422 and names the field and the reason for %s", async (_what, email, errors) => {
    const { app, published } = createTestApp();

    const response = await request(app).post("/send").send(email);

    const problem = response.body as ProblemBody;
    expect(response.status).toBe(422);
    expect(problem.code).toBe("EMAIL_INVALID");
    expect(problem.errors.map(({ field, reason }) => [field, reason])).toEqual(errors);
    expect(published).toEqual([]);
  });

  it("measures the body in bytes of UTF-8", async () => {
    const { app } = createTestApp({ bodyMaxBytes: 4 });

    const fits = await request(app)
      .post("/send")
      .send({ ...EMAIL, body: "🎺" });
    const exceeds = await request(app)
      .post("/send")
      .send({ ...EMAIL, body: "🎺!" });

    expect(fits.status).toBe(202);
    expect(exceeds.status).toBe(413);
    expect(exceeds.body).toMatchObject({
      code: "BODY_TOO_LARGE",
      errors: [{ field: "body", reason: "must not be longer than 4 bytes" }],
    });
  });

  it("accepts a body of the largest size even when JSON escapes each byte as six", async () => {
    const { app } = createTestApp({ bodyMaxBytes: 1_000 });

    const response = await request(app)
      .post("/send")
      .set("Content-Type", "application/json")
      .send(JSON.stringify({ ...EMAIL, body: "\u0001".repeat(1_000) }));

    expect(response.status).toBe(202);
  });

  it("waits during a broker failover", async () => {
    let away = true;
    setTimeout(() => (away = false), 100);
    const refusal = () => (away ? new PublishRefused("AMQP_DISCONNECTED", "") : undefined);
    const { app, published } = createTestApp({ refusal });

    const response = await request(app).post("/send").send(EMAIL);

    expect(response.status).toBe(202);
    expect(published).toHaveLength(1);
    expect(published[0]?.retryHeaders).toEqual({ "x-maybe-duplicate": true });
  });

  it("accepts every send that waited, although these are more than the publish window", async () => {
    let away = true;
    let inWindow = 0;
    const refusal = () => {
      if (away) return new PublishRefused("AMQP_DISCONNECTED", "");
      return inWindow >= 10 ? new PublishRefused("AMQP_WINDOW_FULL", "") : undefined;
    };
    const publish = async () => {
      inWindow += 1;
      await sleep(1);
      inWindow -= 1;
    };
    const { app, registry } = createTestApp({ refusal, publish, patienceMs: 30_000 });
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    const waiting = async () =>
      (await registry.getSingleMetricAsString("wellsent_sends_waiting")).trim();

    const sends = Array.from({ length: 300 }, () => request(server).post("/send").send(EMAIL));
    const answers = Promise.all(sends.map(async (send) => (await send).status));
    await waitFor("all to wait", async () => (await waiting()).endsWith(" 300"));
    away = false;

    expect(new Set(await answers)).toEqual(new Set([202]));
    expect(await waiting()).toMatch(/ 0$/);
    server.close();
  });

  it("publishes nothing for a client that has disconnected", async () => {
    let away = true;
    const refusal = () => (away ? new PublishRefused("AMQP_DISCONNECTED", "") : undefined);
    const { app, published } = createTestApp({ refusal, patienceMs: 5_000 });
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;

    const send = fetch(`http://127.0.0.1:${port}/send`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(EMAIL),
      signal: AbortSignal.timeout(100),
    });
    await expect(send).rejects.toThrow();
    await sleep(100);
    away = false;
    await sleep(200);

    expect(published).toEqual([]);
    server.close();
  });

  it("refuses when the broker stays down", async () => {
    const refusal = () => new PublishRefused("AMQP_DISCONNECTED", "");
    const { app, published } = createTestApp({ refusal, patienceMs: 60 });

    const response = await request(app).post("/send").send(EMAIL);

    expect([response.status, response.body]).toMatchObject([503, { outcome: "not_accepted" }]);
    expect(published).toEqual([]);
  });

  it.each([
    [
      "before publishing",
      "not_accepted",
      { refusal: () => new PublishRefused("QUEUE_FULL", "") },
      "QUEUE_FULL",
    ],
    [
      "by the publisher",
      "not_accepted",
      { publish: () => Promise.reject(new PublishRefused("AMQP_BLOCKED", "")) },
      "AMQP_BLOCKED",
    ],
    [
      "with an unknown outcome",
      "unknown",
      { publish: () => Promise.reject(new PublishUnknown("AMQP_NACKED", "")) },
      "AMQP_NACKED",
    ],
  ])("answers 503 with the outcome when it is refused %s", async (_when, outcome, fault, code) => {
    const { app, registry } = createTestApp(fault);

    const response = await request(app).post("/send").send(EMAIL);

    expect(response.status).toBe(503);
    expect(response.body).toMatchObject({ code, outcome });
    expect(Number(response.headers["retry-after"])).toBeGreaterThan(0);
    expect(isEmailId((response.body as { id?: string }).id)).toBe(outcome === "unknown");
    expect(await registry.metrics()).toContain(`wellsent_sends_refused_total{code="${code}"} 1`);
  });

  it("answers 500 without the message of an unexpected error, and does not log it", async () => {
    const { app, lines } = createTestApp({ publish: () => Promise.reject(new Error("secret")) });

    const response = await request(app).post("/send").send(EMAIL);

    expect(response.status).toBe(500);
    expect(response.body).toMatchObject({ code: "UNEXPECTED" });
    expect(response.text + JSON.stringify(lines)).not.toContain("secret");
    expect(
      lines.some(({ level, message }) => level === "error" && message === "request failed"),
    ).toBe(true);
  });

  it("answers 401 with a challenge before it reads the body", async () => {
    const { app } = createTestApp({
      authenticate: () => {
        throw new Problem(PROBLEMS.API_KEY_MISSING, { headers: { "WWW-Authenticate": "Bearer" } });
      },
    });

    const response = await request(app).post("/send").set("Content-Type", "text/plain").send("x");

    expect(response.status).toBe(401);
    expect(response.headers["www-authenticate"]).toBe("Bearer");
  });

  it("logs neither address, subject nor body", async () => {
    const { app, lines } = createTestApp();

    await request(app).post("/send").set("X-Request-Id", "r-1").send(EMAIL);

    expect(lines).toMatchObject([
      {
        level: "debug",
        message: "request",
        requestId: "r-1",
        method: "POST",
        route: "/send",
        status: "202",
      },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/ada|Hello/);
  });

  it("counts accepted emails and answers", async () => {
    const { app, registry } = createTestApp();

    await request(app).post("/send").send(EMAIL);
    await request(app).post("/any/path/at/all").send(EMAIL);

    const text = await registry.metrics();
    expect(text).toContain("wellsent_emails_accepted_total 1");
    expect(text).toContain(
      'wellsent_http_requests_total{method="POST",route="/send",status="202"} 1',
    );
    expect(text).toContain(
      'wellsent_http_requests_total{method="POST",route="unknown",status="404"} 1',
    );
  });
});

describe("content negotiation", () => {
  it.each([
    ["text/plain", "MEDIA_TYPE_UNSUPPORTED"],
    ["application/x-www-form-urlencoded", "MEDIA_TYPE_UNSUPPORTED"],
    ["nonsense", "MEDIA_TYPE_UNSUPPORTED"],
    ["application/json; charset=utf-16", "CHARSET_UNSUPPORTED"],
    ["application/json; charset=iso-8859-1", "CHARSET_UNSUPPORTED"],
  ])("answers 415 to the content type %s", async (type, code) => {
    const { app } = createTestApp();

    const response = await request(app)
      .post("/send")
      .set("Content-Type", type)
      .send(JSON.stringify(EMAIL));

    expect(response.status).toBe(415);
    expect(response.body).toMatchObject({ code });
  });

  it("answers 415 to a compressed body", async () => {
    const { app } = createTestApp();

    const response = await request(app).post("/send").set("Content-Encoding", "gzip").send(EMAIL);

    expect(response.status).toBe(415);
    expect(response.body).toMatchObject({ code: "ENCODING_UNSUPPORTED" });
  });

  it("answers 415 to a request without a body", async () => {
    const { app } = createTestApp();

    const response = await request(app).post("/send");

    expect(response.status).toBe(415);
  });

  it("accepts application/json with charset UTF-8 in any case", async () => {
    const { app } = createTestApp();

    const response = await request(app)
      .post("/send")
      .set("Content-Type", 'Application/JSON; Charset="UTF-8"')
      .send(JSON.stringify(EMAIL));

    expect(response.status).toBe(202);
  });

  it("answers 406 when the client does not accept JSON", async () => {
    const { app, published } = createTestApp();

    const response = await request(app).post("/send").set("Accept", "text/html").send(EMAIL);

    expect(response.status).toBe(406);
    expect(published).toEqual([]);
  });
});

describe("routing", () => {
  it.each([
    ["GET", "/send", "POST"],
    ["OPTIONS", "/send", "POST"],
    ["DELETE", "/openapi.json", "GET, HEAD"],
  ])("answers 405 with Allow to %s %s", async (method, path, allow) => {
    const { app } = createTestApp();

    const response = await request(app)[method.toLowerCase() as "get"](path);

    expect(response.status).toBe(405);
    expect(response.headers["allow"]).toBe(allow);
  });

  it.each(["/", "/send/", "/SEND", "/emails/%ff", "//send", "/__proto__"])(
    "answers 404 to %s",
    async (path) => {
      const { app } = createTestApp();

      const response = await request(app).post(path).send(EMAIL);

      expect(response.status).toBe(404);
      expect(response.body).toMatchObject({ code: "ROUTE_UNKNOWN" });
    },
  );
});

describe("problem documents", () => {
  it("have the media type, the members of RFC 9457, a code and the request's id", async () => {
    const { app } = createTestApp();

    const response = await request(app).get("/none").set("X-Request-Id", "my.request-1");

    expect(response.headers["content-type"]).toBe("application/problem+json");
    expect(response.headers["x-request-id"]).toBe("my.request-1");
    expect(response.body).toEqual({
      type: "urn:wellsent:problem:ROUTE_UNKNOWN",
      title: "There is nothing at this path",
      status: 404,
      code: "ROUTE_UNKNOWN",
      requestId: "my.request-1",
    });
  });

  it.each(["a b", "x".repeat(129), "ada@example.com", ""])(
    "carry a new id in place of the request id %j",
    async (given) => {
      const { app } = createTestApp();

      const response = await request(app).get("/none").set("X-Request-Id", given);

      expect(response.headers["x-request-id"]).toMatch(/^[\da-f-]{36}$/);
      expect((response.body as ProblemBody).requestId).toBe(response.headers["x-request-id"]);
    },
  );
});
