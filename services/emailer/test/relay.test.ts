import { afterEach, describe, expect, it } from "@jest/globals";
import type { Log } from "@posthorn/chassis";
import { Registry } from "prom-client";
import { classify } from "../src/classify.ts";
import type { Mail } from "../src/mail.ts";
import { createMailTransport } from "../src/mail-transport.ts";
import { createEmailerMetrics } from "../src/metrics.ts";
import { Relay } from "../src/relay.ts";
import { startScriptedRelay, type Behaviour, type Phase } from "./scripted-relay.ts";

const mail: Mail = {
  envelope: { from: "bounces@horn.example", to: "ada@example.com" },
  from: "Posthorn <post@horn.example>",
  to: ["ada@example.com"],
  subject: "Subject",
  text: "Text",
  date: new Date(0),
  messageId: "<1@horn.example>",
};
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("a relay's behaviour", () => {
  it.each<[Phase, Behaviour, string]>([
    ["greeting", "421 4.3.2 not now", "relay"],
    ["greeting", "554 5.3.2 go away", "relay"],
    ["greeting", "drop", "relay"],
    ["EHLO", "421 4.3.2 not now", "relay"],
    ["EHLO", "drop", "relay"],
    ["AUTH", "454 4.7.0 not now", "relay"],
    ["AUTH", "535 5.7.8 wrong password", "relay"],
    ["AUTH", "drop", "relay"],
    ["MAIL", "421 4.3.2 closing", "relay"],
    ["MAIL", "451 4.3.0 later", "deferred"],
    ["MAIL", "451 4.7.1 slow down", "relay"],
    ["MAIL", "530 5.7.0 authenticate first", "relay"],
    ["MAIL", "550 5.1.8 bad sender", "sender-refused"],
    ["MAIL", "drop", "relay"],
    ["RCPT", "421 4.3.2 closing", "relay"],
    ["RCPT", "450 4.2.1 later", "deferred"],
    ["RCPT", "451 4.7.1 greylisted", "deferred"],
    ["RCPT", "550 5.1.1 no such user", "failed"],
    ["RCPT", "drop", "relay"],
    ["DATA", "421 4.3.2 closing", "relay"],
    ["DATA", "451 4.3.0 later", "deferred"],
    ["DATA", "554 5.6.0 no", "failed"],
    ["DATA", "drop", "relay"],
    ["dot", "421 4.3.2 closing", "relay"],
    ["dot", "451 4.3.0 later", "deferred"],
    ["dot", "552 5.3.4 too big", "failed"],
    ["dot", "drop", "ambiguous"],
  ])("at %s, %s, is classed %s", async (phase, behaviour, verdict) => {
    const relay = await startScriptedRelay({ [phase]: behaviour });
    const transport = createMailTransport(optionsFor(relay.port));
    ended.push(relay.close, () => transport.close());

    const sent = await transport.send(mail);

    expect(sent.taken ? "taken" : classify(sent.fault)).toBe(verdict);
  });
});

describe("Relay#send", () => {
  it("waits out the relay's trouble and tells of it, then hands over", async () => {
    let well = false;
    const { relay, told } = await startRelay({ MAIL: "421 4.3.2 closing" }, () => !well);

    const sending = relay.send(mail, new AbortController().signal);
    await until(() => told.length === 1);
    expect(relay.check()?.reason).toContain("421 at MAIL FROM");
    expect(relay.check()?.blocks).toBe(false);
    well = true;

    expect(await sending).toEqual({
      verdict: "sent",
      reply: "250 2.0.0 taken",
      relay: relay.name,
    });
    expect(told).toEqual(["trouble", "well"]);
  });

  it("hands nothing over once the delivery's channel is lost", async () => {
    const { relay, conversations } = await startRelay({});

    await expect(relay.send(mail, AbortSignal.abort())).rejects.toThrow("aborted");

    expect(conversations).toEqual([]);
  });

  it("lets go of what waits when it is released", async () => {
    const { relay, told } = await startRelay({ greeting: "drop" });
    const sending = relay.send(mail, new AbortController().signal);
    await until(() => told.length === 1);

    relay.release();

    await expect(sending).rejects.toThrow("aborted");
  });

  it("takes a delivery that breaks the connection each time for the message's trouble, while others pass", async () => {
    let toPoison = false;
    const { relay } = await startRelay({ RCPT: "drop" }, () => toPoison);
    const poison = relay.send(mail, new AbortController().signal);

    for (let pass = 0; pass < 6; pass += 1) {
      toPoison = false;
      await relay.send(mail, new AbortController().signal);
      toPoison = true;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }

    expect((await poison).verdict).toMatch(/sent|deferred/);
  });
});

function optionsFor(port: number) {
  return { url: `smtp://user:secret@127.0.0.1:${port}`, connections: 2, ehloName: "test.example" };
}

async function startRelay(script: Partial<Record<Phase, Behaviour>>, misbehaves?: () => boolean) {
  const scripted = await startScriptedRelay(script, misbehaves);
  const told: string[] = [];
  const silent = () => undefined;
  const log: Log = { debug: silent, info: silent, warn: silent, error: silent };
  const relay = new Relay({
    ...optionsFor(scripted.port),
    onTrouble: () => told.push("trouble"),
    onWell: () => told.push("well"),
    onHeldTooLong: silent,
    metrics: createEmailerMetrics(new Registry()),
    log,
  });
  ended.push(
    scripted.close,
    () => relay.release(),
    () => relay.stop(),
  );
  return { relay, told, conversations: scripted.conversations };
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 400 && !condition(); turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 25));
  expect(condition()).toBe(true);
}
