import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { spawnService, spawnToExit, type Service } from "../../../test/support/spawn-service.ts";
import { waitFor } from "@wellsent/testing";
import { temporaryDirectory } from "./support.ts";

/** Nothing listens there: the tests of this file need no broker. */
const AMQP_URL = "amqp://127.0.0.1:1";

const services: Service[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.end("SIGKILL");
});

async function start(directory: string): Promise<Service> {
  const service = await spawnService("logger", { AMQP_URL, AUDIT_DIR: directory });
  services.push(service);
  return service;
}

async function reasonsOf({ admin }: Service): Promise<string[]> {
  const answer = await fetch(`${admin}/readyz`);
  return ((await answer.json()) as { reasons: string[] }).reasons;
}

describe("the logger's process", () => {
  it("waits for a broker that is away, says so, and ends on SIGTERM with 0", async () => {
    const service = await start(temporaryDirectory());

    await waitFor("it has started", () => service.output().includes('"started"'));
    const reasons = ["broker down (publish)", "broker down (consume)", "not consuming"];
    await waitFor("its reasons", async () => (await reasonsOf(service)).join() === reasons.join());
    expect(await service.end("SIGTERM")).toBe(0);
  });

  it("repairs a torn line and deletes what is too old at start", async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "audit-2020-01-01.001.jsonl"), "{}\n");
    const file = `audit-${new Date().toISOString().slice(0, 10)}.001.jsonl`;
    writeFileSync(join(directory, file), "{}\n{torn");

    const service = await start(directory);
    await waitFor("it has started", () => service.output().includes('"started"'));

    await waitFor(
      "the old file is gone",
      () => !existsSync(join(directory, "audit-2020-01-01.001.jsonl")),
    );
    expect(service.output()).toContain("torn last line removed");
  });

  it("waits for the writer before it without consuming, and takes over when that one is killed", async () => {
    const directory = temporaryDirectory();
    const first = await start(directory);
    await waitFor("the first has started", () => first.output().includes('"started"'));
    const second = await start(directory);

    await waitFor("it names the reason", async () =>
      (await reasonsOf(second)).includes("writer lock: another writer holds the directory"),
    );
    expect(second.output()).not.toContain("broker down");
    await first.end("SIGKILL");
    await waitFor("the second has started", () => second.output().includes('"started"'));
    expect((await reasonsOf(second)).join()).not.toContain("writer lock");
  });

  it("ends on SIGTERM with 0 while it waits for the writer before it", async () => {
    const directory = temporaryDirectory();
    const first = await start(directory);
    await waitFor("the first has started", () => first.output().includes('"started"'));
    const second = await start(directory);

    expect(await second.end("SIGTERM")).toBe(0);
    expect(second.output()).not.toContain('"started"');
  });

  it("refuses a directory that it cannot use with 78, naming it", async () => {
    const file = join(temporaryDirectory(), "file");
    writeFileSync(file, "");

    const { code, output } = await spawnToExit("logger", {
      AMQP_URL,
      AUDIT_DIR: file,
      METRICS_PORT: "0",
    });

    expect(code).toBe(78);
    expect(output).toContain(`AUDIT_DIR: ${file} cannot be written by user id`);
  });
});
