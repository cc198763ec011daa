import { describe, expect, it } from "@jest/globals";
import express from "express";
import request from "supertest";
import { assignRequestId, requestIdOf } from "../src/request-id.ts";

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/** Sends a request with this id. Resolves to the id in the response, and the one that a handler sees. */
async function idsFor(id?: string) {
  const app = express().use(assignRequestId, (_request, response) => {
    response.send(requestIdOf(response));
  });
  const sending = request(app).get("/");
  const { headers, text } = await (id === undefined ? sending : sending.set("X-Request-Id", id));
  return { header: String((headers as Record<string, unknown>)["x-request-id"]), seen: text };
}

describe("assignRequestId", () => {
  it.each(["order-7", "a.b_C", "x".repeat(128)])("returns the client's id %s", async (id) => {
    expect(await idsFor(id)).toEqual({ header: id, seen: id });
  });

  it.each([undefined, "", "ada@example.com", "a b", "x".repeat(129)])(
    "replaces %j by a new id",
    async (id) => {
      const { header, seen } = await idsFor(id);

      expect(header).toMatch(UUID);
      expect(seen).toBe(header);
    },
  );
});
