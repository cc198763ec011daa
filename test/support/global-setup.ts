import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBroker } from "./broker-process.ts";

/** What the global teardown, which Jest loads on its own, has to do. */
export const teardown = globalThis as unknown as { endBroker: () => Promise<void> };

/**
 * One real broker for the whole run: the machine's, or RabbitMQ 4.3 in Docker when BROKER_IN_DOCKER says so.
 * Test files reach it through BROKER_URL, and rabbitmqctl, which only this process can run, through BROKER_CTL.
 */
export default async function globalSetup(): Promise<void> {
  // Once for all projects of the run.
  if ("endBroker" in globalThis) return;
  const dir = mkdtempSync(join(tmpdir(), "wellsent-broker-"));
  const broker = await startBroker({ dir, inDocker: process.env["BROKER_IN_DOCKER"] === "true" });
  const control = createServer((request, response) => {
    void text(request)
      .then((body) => broker.ctl(...(JSON.parse(body) as string[])))
      .then(
        (output) => response.end(output),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
  }).listen(0, "127.0.0.1");
  await once(control, "listening");
  const address = control.address();
  process.env["BROKER_URL"] = broker.url;
  process.env["BROKER_CTL"] =
    `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  teardown.endBroker = async () => {
    control.close();
    control.closeAllConnections();
    await broker.end();
    rmSync(dir, { recursive: true, force: true });
  };
}
