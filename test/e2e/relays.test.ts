import { afterEach, describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SmtpSink, startSink, waitFor } from "@wellsent/testing";
import { allReady, sendMany, startSystem, twice, type System } from "../support/system.ts";

const SECRETS = mkdtempSync(join(tmpdir(), "wellsent-secrets-"));
let system: System;
const sinks: SmtpSink[] = [];

afterEach(async () => {
  await system.stop();
  await Promise.all(sinks.splice(0).map((sink) => sink.close()));
  rmSync(SECRETS, { recursive: true, force: true });
});

async function sink(options: Parameters<typeof startSink>[0] = {}): Promise<SmtpSink> {
  const started = await startSink(options);
  sinks.push(started);
  return started;
}

async function readiness() {
  const response = await fetch(`${system.services.emailer.admin}/readyz`);
  return { status: response.status, text: await response.text() };
}

/** Kinds of what the audit log has beyond accepting and sending. */
function otherKinds(): string[] {
  return system
    .audit()
    .map(({ kind }) => kind)
    .filter((kind) => !["email.accepted", "email.sent"].includes(kind));
}

describe("a relay that refuses the password", () => {
  it("is named in readiness and metrics, parks nothing, and gets the mail once the file has the right one", async () => {
    const { port, taken } = await sink({ password: "right-one" });
    const file = join(SECRETS, "password");
    writeFileSync(file, "wrong-one\n");
    const SMTP_URLS = `smtp://mailer@127.0.0.1:${port}?passwordFile=${file}`;
    system = await startSystem({ env: { SMTP_URLS } });
    const { emailer } = system.services;
    await allReady(system);

    await sendMany(system, 500, 8);
    await waitFor("the reason", async () => (await readiness()).text.includes("refused, 535"));
    expect((await readiness()).status).toBe(200);
    expect(await emailer.metric("wellsent_relay_auth_refused")).toBe(1);
    writeFileSync(file, "right-one\n");
    const righted = Date.now();
    await waitFor("the first mail", () => taken.length > 0);
    expect(Date.now() - righted).toBeLessThan(10_000);
    const sent = await system.audited("email.sent", 500);

    expect(sent.filter(({ attempt }) => attempt !== 1)).toEqual([]);
    expect(otherKinds()).toEqual([]);
    expect(twice(taken.map(({ messageId }) => messageId))).toEqual([]);
    expect(await emailer.metric("wellsent_relay_auth_refused")).toBe(0);
    expect(emailer.output()).not.toMatch(/right-one|wrong-one|user\d+@/);
  });
});

describe("a second relay", () => {
  it("takes the mail within 5 s while the first is down, and leaves it to the first again", async () => {
    const [first, second] = [await sink(), await sink()];
    system = await startSystem({ env: { SMTP_URLS: `${first.url},${second.url}` } });
    await allReady(system);
    await sendMany(system, 50, 8);
    await system.audited("email.sent", 50);
    expect(first.taken).toHaveLength(50);

    await first.close();
    const down = Date.now();
    await sendMany(system, 50, 8);
    await waitFor("the second relay's first mail", () => second.taken.length > 0);
    expect(Date.now() - down).toBeLessThan(5_000);
    await system.audited("email.sent", 100);
    const back = await sink({ port: first.port });
    await waitFor(
      "the first relay's circuit",
      async () => !(await readiness()).text.includes("relay"),
    );
    await sendMany(system, 50, 8);
    const sent = await system.audited("email.sent", 150);

    expect([second.taken.length, back.taken.length]).toEqual([50, 50]);
    expect(sent.filter(({ attempt }) => attempt !== 1)).toEqual([]);
    expect(otherKinds()).toEqual([]);
  });

  it("takes the mail when the first leaves all that there is in flight without its final reply", async () => {
    const [first, second] = [await sink({ delayMs: 300_000 }), await sink()];
    const SMTP_URLS = `${first.url}?connections=4,${second.url}`;
    // Three queues: all that each may have in flight finds a place at the first relay.
    system = await startSystem({ env: { SMTP_URLS, PREFETCH: "12" } });
    await allReady(system);

    await sendMany(system, 20, 8);
    await system.audited("email.sent", 16, 20_000);

    expect((await readiness()).text).toContain("every connection waits for a reply");
    expect([first.offered.size, second.taken.length]).toEqual([4, 16]);
    expect(otherKinds()).toEqual([]);
  });
});
