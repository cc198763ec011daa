import { describe, expect, it } from "@jest/globals";
import { createHttpApp, type RequestHandler } from "@wellsent/http";
import { PublishRefused } from "@wellsent/runtime";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { Registry } from "prom-client";
import request from "supertest";
import { createApiMetrics } from "../src/metrics.ts";
import { publishProblem } from "../src/problems.ts";
import { createAdmission } from "../src/send/admission.ts";

const FAR_MS = 60_000;
const connected = () => false;
const operation = { operationId: "get", summary: "Get", responses: {}, problems: [] };
const accept: RequestHandler = (_request, response) => void response.json({ code: "accepted" });

/** Creates an admission whose refusal a test sets by its code; "" accepts. */
function setUp(code: string, patienceMs = FAR_MS) {
  const state = { code };
  const registry = new Registry();
  const metrics = createApiMetrics(registry);
  const admission = createAdmission({
    refusal: () => (state.code === "" ? undefined : new PublishRefused(state.code, "")),
    patienceMs,
    metrics,
  });
  const waiting = async () => {
    const metric = await registry.getSingleMetric("wellsent_sends_waiting")?.get();
    return metric?.values[0]?.value;
  };
  const app = createHttpApp({
    routes: [{ method: "get", path: "/", operation, handlers: [admission.refuseAtOnce, accept] }],
    explain: publishProblem,
    metrics,
    log: createFakeLog(),
  });
  /** Resolves to the code of the problem that answers a request, or to "accepted". */
  const begin = async () => {
    const { body } = (await request(app).get("/")) as { body: { code: string } };
    return body.code;
  };
  return { state, admission, waiting, begin };
}

describe("admission before the body is read", () => {
  it.each(["", "AMQP_DISCONNECTED", "TOPOLOGY_UNVERIFIED"])("continues with %j", async (code) => {
    expect(await setUp(code).begin()).toBe("accepted");
  });

  it.each(["AMQP_WINDOW_FULL", "AMQP_BLOCKED", "QUEUE_FULL", "QUEUE_BYTES_FULL"])(
    "refuses with %s",
    async (code) => {
      expect(await setUp(code).begin()).toBe(code);
    },
  );
});

describe("admission after the body was validated", () => {
  it("accepts at once without a refusal", async () => {
    expect(await setUp("").admission.wait(connected)).toBeUndefined();
  });

  it.each(["AMQP_WINDOW_FULL", "AMQP_BLOCKED", "QUEUE_FULL"])(
    "refuses %s at once",
    async (code) => {
      expect(await setUp(code).admission.wait(connected)).toMatchObject({ code });
    },
  );

  it.each(["AMQP_DISCONNECTED", "TOPOLOGY_UNVERIFIED"])(
    "waits while %s, and accepts when it has cleared up",
    async (code) => {
      const { state, admission, waiting } = setUp(code);
      const waited = admission.wait(connected);
      expect(await waiting()).toBe(1);

      state.code = "";

      expect(await waited).toBeUndefined();
      expect(await waiting()).toBe(0);
    },
  );

  it("keeps waiting when the window is full after the failover", async () => {
    const { state, admission, waiting } = setUp("AMQP_DISCONNECTED");
    let checks = 0;
    const waited = admission.wait(() => {
      checks += 1;
      return false;
    });
    state.code = "AMQP_WINDOW_FULL";
    const before = checks;
    await waitFor("another check", () => checks > before);
    expect(await waiting()).toBe(1);

    state.code = "";

    expect(await waited).toBeUndefined();
  });

  it("refuses when the alarm of the broker follows the failover", async () => {
    const { state, admission } = setUp("AMQP_DISCONNECTED");
    const waited = admission.wait(connected);

    state.code = "AMQP_BLOCKED";

    expect(await waited).toMatchObject({ code: "AMQP_BLOCKED" });
  });

  it("refuses after the longest wait", async () => {
    const { admission, waiting } = setUp("AMQP_DISCONNECTED", 1);

    expect(await admission.wait(connected)).toMatchObject({ code: "AMQP_DISCONNECTED" });
    expect(await waiting()).toBe(0);
  });

  it("ends the wait when the client has disconnected", async () => {
    const { admission, waiting } = setUp("AMQP_DISCONNECTED");
    let isGone = false;
    const waited = admission.wait(() => isGone);
    expect(await waiting()).toBe(1);

    isGone = true;
    await waited;

    expect(await waiting()).toBe(0);
  });
});
