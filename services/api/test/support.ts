import type { Publication } from "@wellsent/amqp";
import { createFakeLog } from "@wellsent/testing";
import { Registry } from "prom-client";
import { createApp, type AppOptions } from "../src/app.ts";
import { createApiMetrics } from "../src/metrics.ts";

/** Creates the API without a broker. It stores the messages that it would publish. */
export function createTestApp(options: Partial<AppOptions> = {}) {
  const published: Publication[] = [];
  const registry = new Registry();
  const log = createFakeLog();
  const app = createApp({
    publish: (publication) => {
      published.push(publication);
      return Promise.resolve();
    },
    refusal: () => undefined,
    authenticate: () => "test",
    bodyMaxBytes: 1_048_576,
    patienceMs: 300,
    metrics: createApiMetrics(registry),
    log,
    ...options,
  });
  return { app, published, registry, lines: log.lines };
}

/** A valid email as the article writes it. */
export const EMAIL = { toaddr: "ada@example.com", subject: "Hello", body: "Hello, Ada\n" };
