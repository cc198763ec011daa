import { describe, expect, it } from "@jest/globals";
import { createFakeLog } from "@wellsent/testing";
import { Registry } from "prom-client";
import request from "supertest";
import { createHttpMetrics } from "../src/metrics.ts";
import { Problem } from "../src/problem.ts";
import { HTTP_PROBLEMS } from "../src/problems.ts";
import { noteKeyName } from "../src/request-log.ts";
import { createHttpApp, type Route } from "../src/routes.ts";

const operation = { operationId: "get", summary: "Get", responses: {}, problems: [] };

/** Creates an application whose routes end in different ways. */
function createTestApp() {
  const registry = new Registry();
  const log = createFakeLog();
  const route = (path: string, handler: Route["handlers"][number]): Route => ({
    method: "get",
    path,
    operation,
    handlers: [handler],
  });
  const routes = [
    route("/emails/:id", (_request, response) => {
      noteKeyName(response, "shop");
      response.json({});
    }),
    route("/full", () => {
      throw new Problem(HTTP_PROBLEMS.BODIES_FULL);
    }),
  ];
  return {
    app: createHttpApp({ routes, metrics: createHttpMetrics(registry), log }),
    log,
    registry,
  };
}

describe("logRequests", () => {
  it("logs the route, the key's name and the status at debug, and not the path", async () => {
    const { app, log, registry } = createTestApp();

    await request(app).get("/emails/ada@example.com?secret").set("X-Request-Id", "r1");

    expect(log.lines).toEqual([
      expect.objectContaining({
        level: "debug",
        message: "request",
        requestId: "r1",
        method: "GET",
        route: "/emails/:id",
        status: "200",
        apiKey: "shop",
      }),
    ]);
    expect(JSON.stringify(log.lines)).not.toMatch(/example|secret/);
    expect(await registry.getSingleMetricAsString("wellsent_http_requests_total")).toContain(
      '{method="GET",route="/emails/:id",status="200"} 1',
    );
  });

  it("logs 5xx at warn with the code of the problem", async () => {
    const { app, log } = createTestApp();

    await request(app).get("/full");

    expect(log.lines).toEqual([
      expect.objectContaining({ level: "warn", status: "503", code: "BODIES_FULL" }),
    ]);
  });

  it("logs an unknown path as the route unknown", async () => {
    const { app, log } = createTestApp();

    await request(app).get("/ada@example.com");

    expect(log.lines).toEqual([
      expect.objectContaining({ level: "debug", route: "unknown", code: "ROUTE_UNKNOWN" }),
    ]);
  });
});
