import { describe, expect, it } from "@jest/globals";
import express from "express";
import request from "supertest";
import { Registry } from "prom-client";
import { createFakeLog } from "@wellsent/testing";
import { createHttpMetrics } from "../src/metrics.ts";
import { createHttpApp } from "../src/routes.ts";
import { isLoopback, refuseWebPages } from "../src/web-pages.ts";

function guarded(onLoopback: boolean) {
  const metrics = createHttpMetrics(new Registry());
  const ok: express.RequestHandler = (_request, response) => void response.json({});
  const operation = { operationId: "get", summary: "Get", responses: {}, problems: [] };
  const routes = [{ method: "get", path: "/", operation, handlers: [ok] }] as const;
  return createHttpApp({
    routes,
    before: [refuseWebPages(onLoopback)],
    metrics,
    log: createFakeLog(),
  });
}

describe("a server on loopback without authentication", () => {
  it.each([
    "localhost",
    "LocalHost:8080",
    "127.0.0.1:8080",
    "[::1]:8080",
    "api.localhost",
    "127.1",
  ])("answers to the name %s", async (host) => {
    expect((await request(guarded(true)).get("/").set("Host", host)).status).toBe(200);
  });

  it.each([
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example@127.0.0.1.nip.example",
    "192.0.2.1",
    "[::2]",
    "a b",
    "",
  ])("refuses the name %j, by which only a page of that name would ask", async (host) => {
    const response = await request(guarded(true)).get("/").set("Host", host);

    expect([response.status, response.body]).toMatchObject([421, { code: "HOST_REFUSED" }]);
  });

  it.each([
    "http://evil.example",
    "http://evil.example:8080",
    "https://localhost.evil.example",
    "null",
  ])("refuses the page %s", async (origin) => {
    const response = await request(guarded(true)).get("/").set("Origin", origin);

    expect([response.status, response.body]).toMatchObject([403, { code: "ORIGIN_REFUSED" }]);
  });

  it("answers a page of this machine", async () => {
    const response = await request(guarded(true)).get("/").set("Origin", "http://localhost:3000");

    expect(response.status).toBe(200);
  });
});

describe("a server on a network without authentication", () => {
  it("answers any host name, and refuses web pages", async () => {
    const named = await request(guarded(false)).get("/").set("Host", "api.internal.example");
    const page = await request(guarded(false))
      .get("/")
      .set("Origin", "http://api.internal.example");

    expect([named.status, page.status]).toEqual([200, 403]);
  });
});

describe("isLoopback", () => {
  it.each([
    ["http://0x7f.1", true],
    ["http://localhost.", true],
    ["http://[::ffff:127.0.0.1]", true],
    ["http://127.0.0.1.", true],
    ["http://10.0.0.1", false],
    ["http://[::]", false],
    ["http://0.0.0.0", false],
    ["nonsense", false],
  ])("tells %s: %s", (url, expected) => {
    expect(isLoopback(url)).toBe(expected);
  });
});
