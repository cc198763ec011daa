import { describe, expect, it } from "@jest/globals";
import request from "supertest";
import * as z from "zod";
import { PROBLEMS } from "../src/problems.ts";
import { createTestApp, EMAIL } from "./support.ts";

interface Operation {
  operationId: string;
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
}
interface OpenapiDocument {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, z.core.JSONSchema.JSONSchema> };
}

async function fetchDocument(): Promise<OpenapiDocument> {
  const { app } = createTestApp({ bodyMaxBytes: 1_000 });
  const response = await request(app).get("/openapi.json");
  expect(response.status).toBe(200);
  return response.body as OpenapiDocument;
}

async function fetchSchema(name: string): Promise<z.ZodType> {
  const { components } = await fetchDocument();
  const schema = components.schemas[name];
  if (!schema) throw new Error(`no schema ${name}`);
  return z.fromJSONSchema(schema);
}

describe("GET /openapi.json", () => {
  it("is OpenAPI 3.1 in which every reference resolves and every operation has an id", async () => {
    const document = await fetchDocument();

    const names = [
      ...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g),
    ];
    const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
    expect(document.openapi).toMatch(/^3\.1\./);
    expect(names.length).toBeGreaterThan(2);
    expect(names.filter(([, name]) => !document.components.schemas[name ?? ""])).toEqual([]);
    expect(operations.map(({ operationId }) => operationId)).toEqual(["send", "getOpenapi"]);
  });

  it("describes every response, and has every code under its status", async () => {
    const { paths } = await fetchDocument();

    const responses = paths["/send"]?.["post"]?.responses ?? {};
    for (const [code, { status }] of Object.entries(PROBLEMS)) {
      expect(responses[status]?.description).toContain(`\`${code}\``);
      expect(Object.keys(responses[status]?.content ?? {})).toEqual(["application/problem+json"]);
    }
  });

  it("has schemas that accept and refuse the same emails as the API", async () => {
    const send = await fetchSchema("Send");

    expect(send.safeParse(EMAIL).success).toBe(true);
    expect(send.safeParse({ ...EMAIL, toaddr: ["a@b.c", "d@e.f"] }).success).toBe(true);
    expect(send.safeParse({ ...EMAIL, toaddr: [] }).success).toBe(false);
    expect(send.safeParse({ ...EMAIL, bcc: "a@b.c" }).success).toBe(false);
    expect(send.safeParse({ ...EMAIL, subject: "a\nb" }).success).toBe(false);
    expect(send.safeParse({ toaddr: "a@b.c" }).success).toBe(false);
  });

  it("has schemas for the responses", async () => {
    const { app } = createTestApp();

    const accepted = await request(app).post("/send").send(EMAIL);
    const malformed = await request(app)
      .post("/send")
      .set("Content-Type", "application/json")
      .send("{");
    const invalid = await request(app).post("/send").send({});

    expect((await fetchSchema("Accepted")).safeParse(accepted.body).error).toBeUndefined();
    const problem = await fetchSchema("Problem");
    expect(problem.safeParse(malformed.body).error).toBeUndefined();
    expect(problem.safeParse(invalid.body).error).toBeUndefined();
  });

  it("describes the fields and the limit of the body", async () => {
    const { components } = await fetchDocument();

    const properties = components.schemas["Send"]?.properties as Record<
      string,
      { description?: string }
    >;
    expect(Object.values(properties).filter(({ description }) => !description)).toEqual([]);
    expect(properties["body"]?.description).toContain("1000 bytes");
  });
});
