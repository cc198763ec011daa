import { open } from "node:fs/promises";
import { describe, expect, it } from "@jest/globals";
import type { Delivery } from "@wellsent/amqp";
import { createFakeLog, waitFor } from "@wellsent/testing";
import winston from "winston";
import type { Open } from "../src/audit/file.ts";
import { createPipeline } from "../src/audit/pipeline.ts";
import { AttemptLeases } from "../src/intake/attempt-leases.ts";
import { createHandler } from "../src/intake/handle-message.ts";
import { EMAIL_ID, eventsOf, temporaryDirectory, testMetrics } from "./support.ts";

/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- winston's types import one class in several ways */
/** From a delivery to the disk and back, as main.ts puts it together. */
function setUp(directory: string, openFile: Open = open) {
  const metrics = testMetrics();
  const log = createFakeLog();
  const flowed: string[] = [];
  const flow = {
    pause: () => flowed.push("pause"),
    release: () => flowed.push("release"),
    resume: () => flowed.push("resume"),
  };
  const { commit, ledger, record } = createPipeline({
    audit: { directory, fileMaxBytes: 1_000_000, retentionDays: 90 },
    redaction: { recipients: "plain", subject: "plain", hashKey: "" },
    linesMax: 10_000,
    ...{ flow, metrics, log, open: openFile },
    stdout: new winston.transports.Console({ silent: true }),
  });
  const confirmed = () => Promise.resolve();
  const publisher = { publishUntilConfirmed: confirmed, publishWithin: confirmed };
  const handle = createHandler({
    record,
    publisher,
    ledger,
    leases: new AttemptLeases(),
    metrics,
    log,
  });
  const start = async () => {
    ledger.start();
    await commit.start();
    await waitFor("a whole ledger", () => ledger.check() === undefined);
  };
  const stop = async () => {
    await commit.stop();
    await ledger.stop();
  };
  return { commit, handle, flowed, ledger, metrics, start, stop };
}

function outcome(event: string, signal = new AbortController().signal): Delivery {
  const body = {
    kind: "email.sent",
    delivery: `${EMAIL_ID}.0.0`,
    time: "2026-11-23T12:00:00.000Z",
    attempt: 1,
    possibleDuplicate: false,
  };
  return {
    queue: "logger",
    exchange: "",
    body: Buffer.from(JSON.stringify(body)),
    properties: { messageId: event, type: "outcome.v1" } as Delivery["properties"],
    redelivered: false,
    brokerVersion: "4.3.6",
    dropBody: () => undefined,
    signal,
  };
}

/** An `open` that finds the disk full while `full` says so, after half of what is written. */
function openOn(disk: { full: boolean }): Open {
  return async (path, flags, mode) => {
    const handle = await open(path, flags, mode);
    const append = handle.appendFile.bind(handle);
    handle.appendFile = async (bytes) => {
      if (!disk.full) return append(bytes);
      await handle.write(bytes as Buffer, 0, 100);
      const device = await open("/dev/full", "w");
      await device.writeFile(bytes).finally(() => device.close());
    };
    return handle;
  };
}

describe("the way of a record", () => {
  it("has an event once that is redelivered after a restart", async () => {
    const directory = temporaryDirectory();
    const before = setUp(directory);
    await before.start();
    await Promise.all(["a", "b"].map((event) => before.handle(outcome(event))));
    await before.stop();

    const after = setUp(directory);
    await after.start();
    const settled = await Promise.all(["b", "c"].map((event) => after.handle(outcome(event))));
    await after.stop();

    expect(settled).toEqual(["ack", "ack"]);
    expect(eventsOf(directory)).toEqual(["a", "b", "c"]);
  });

  it("acks nothing while the disk is full, and has each event once when there is room again", async () => {
    const directory = temporaryDirectory();
    const disk = { full: true };
    const { commit, handle, flowed, metrics, start, stop } = setUp(directory, openOn(disk));
    const channel = new AbortController();
    await start();
    const acked: string[] = [];
    const take = async (event: string, signal?: AbortSignal) => {
      if ((await handle(outcome(event, signal)).catch(() => "lost")) === "ack") acked.push(event);
    };

    const lost = ["a", "b"].map((event) => take(event, channel.signal));
    await waitFor("what is in flight is given back", () => flowed.includes("release"));
    channel.abort();
    await Promise.all(lost);
    expect(acked).toEqual([]);
    expect(commit.check()?.reason).toMatch(/^audit log: /);

    disk.full = false;
    const again = ["a", "b", "c"].map((event) => take(event));
    await Promise.all(again);
    expect(acked.sort()).toEqual(["a", "b", "c"]);
    expect(eventsOf(directory)).toEqual(["a", "b", "c"]);
    expect(flowed).toEqual(["pause", "release", "resume"]);
    expect(await metrics.registry.metrics()).toMatch(/lines_total\{kind="email.sent"\} 3\n/);
    await stop();
  });
});
