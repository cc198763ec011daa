import { afterEach, describe, expect, it } from "@jest/globals";
import { ATTACKS, LIMIT_MIB, peakUnder, startApi } from "../support/hostile-requests.ts";
import type { Service } from "../support/spawn-service.ts";

/** Nothing listens there: bodies are read and parsed, and then wait for the broker. */
const AMQP = "amqp://127.0.0.1:1";

let running: Service | undefined;
afterEach(() => running?.end("SIGKILL"));

/** Those that have killed an API, and those that need most; `npm run bench:hostile` has more. */
const WORST = [
  "lists of empty objects, 6.3 MB",
  "a name of 6 MB",
  "emails of 60 kB",
  "unfinished bodies of 65 kB",
  "chunks of one byte",
];

describe("an API with the memory that the chart gives it", () => {
  it.each(WORST)("survives %s", async (name) => {
    const attack = ATTACKS[name];
    if (!attack) throw new Error(`no attack ${name}`);
    const { api, port } = await startApi(AMQP);
    running = api;

    const peak = await peakUnder(attack, api, port);

    expect(peak).toBeLessThan(LIMIT_MIB);
    expect((await fetch(`${api.admin}/healthz`)).status).toBe(200);
  });
});
