import { afterEach, describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "@wellsent/runtime";
import { dnsCache } from "nodemailer/lib/shared";
import { Registry } from "prom-client";
import { loadConfig } from "../src/config.ts";
import { createEmailerMetrics } from "../src/metrics.ts";
import { PATIENCE, type Patience, type SendOptions } from "../src/relay/passage.ts";
import type { RelayConfig } from "../src/config.ts";
import { Relays } from "../src/relay/relays.ts";
import {
  startScriptedRelay,
  type Phase,
  type Script,
  type ScriptedRelay,
} from "./scripted-relay.ts";
import { mailTo, relayAt, until } from "./support.ts";

const QUICK: Patience = {
  alone: [700, 1_500],
  hasty: 300,
  final: 60_000,
  pause: 200,
  held: 60_000,
};
const ended: (() => void)[] = [];
const always = () => Promise.resolve(true);
const live: SendOptions = { signal: new AbortController().signal, admit: always };
const refuseAt =
  (phase: Phase, reply: string, when: () => boolean = () => true): Script =>
  (at) =>
    at === phase && when() ? reply : undefined;

afterEach(() => {
  for (const end of ended.splice(0).reverse()) end();
});

describe("Relays#send, with one relay", () => {
  it("waits out the relay's trouble and tells of it, then hands over", async () => {
    let well = false;
    const { relays, told, metric } = await start([refuseAt("MAIL", "421 4.3.2 no", () => !well)]);

    const sending = relays.send(mailTo("ada@example.com"), live);
    await until(() => told.length === 1);
    expect(reasons(relays)).toEqual([expect.stringContaining("421 at MAIL FROM")]);
    expect(relays.checks.map((check) => check()?.blocks)).toEqual([false]);
    expect(await metric("wellsent_relay_circuit_open")).toEqual([1]);
    well = true;

    expect(await sending).toMatchObject({ verdict: "sent", reply: "250 2.0.0 taken" });
    expect(told).toEqual(["trouble", "well"]);
    expect(reasons(relays)).toEqual([]);
    expect(await metric("wellsent_relay_circuit_open")).toEqual([0]);
  });

  it("lets one mail through before all others when a probe succeeds", async () => {
    let well = false;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("MAIL", "421 4.3.2 no", () => !well)]);
    const sending = sendMany(relays, 20);
    await until(() => reasons(relays).length === 1 && relay.connections.now === 0);

    const before = at(relay, "MAIL").length;
    await until(() => at(relay, "MAIL").length > before);
    expect(at(relay, "MAIL")).toHaveLength(before + 1);
    well = true;
    await sending;

    expect(relay.taken).toHaveLength(20);
  });

  it("takes a kept connection that was lost meanwhile for nobody's trouble", async () => {
    const dropOnce = [false, true];
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([(phase) => (phase === "MAIL" && dropOnce.shift() ? "drop" : undefined)]);
    await relays.send(mailTo("ada@example.com"), live);

    expect((await relays.send(mailTo("bob@example.com"), live)).verdict).toBe("sent");

    expect(relay.taken).toEqual(["ada@example.com", "bob@example.com"]);
    expect(told).toEqual([]);
  });

  it("sees a 421 also on a connection that carried a mail before", async () => {
    const answers = [undefined, "421 4.7.0 too many"];
    const { relays, told } = await start([
      (phase) => (phase === "MAIL" ? answers.shift() : undefined),
    ]);
    await relays.send(mailTo("ada@example.com"), live);

    const sending = relays.send(mailTo("bob@example.com"), live);
    await until(() => told.length === 1);
    expect(reasons(relays)).toEqual([expect.stringContaining("421 at MAIL FROM")]);

    expect((await sending).verdict).toBe("sent");
  });

  it("leaves a relay that asks for less alone for longer each time", async () => {
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("MAIL", "451 4.7.0 slow down")]);
    relays.send(mailTo("ada@example.com"), live).catch(() => undefined);

    await until(() => at(relay, "MAIL").length === 4);

    const [first, ...later] = at(relay, "MAIL").map((mail) => mail.at);
    const paused = later.map((time) => time - (first ?? 0));
    const atLeast = [1, 1 + 2, 1 + 2 + 4].map((pauses) => pauses * QUICK.pause - 5);
    expect(paused.filter((time, nth) => time < (atLeast[nth] ?? 0))).toEqual([]);
  });

  it.each([
    ["RCPT", "451 4.7.1 greylisted"],
    ["RCPT", "450 4.2.1 receiving mail too quickly"],
    ["dot", "451 4.7.1 greylisted"],
    ["dot", "451 4.7.1 try again later"],
  ] as const)(
    "does not pause for one delivery's refusal for now at %s: %s",
    async (phase, reply) => {
      const { relays } = await start([refuseAt(phase, reply)]);

      expect((await relays.send(mailTo("ada@example.com"), live)).verdict).toBe("deferred");

      expect(reasons(relays)).toEqual([]);
    },
  );

  it("keeps all mail while the relay refuses us at RCPT, and says so", async () => {
    let refuses = true;
    const refused = refuseAt("RCPT", "554 5.7.1 Relay access denied", () => refuses);
    const { relays } = await start([refused]);
    const sending = sendMany(relays, 5);
    await until(() => reasons(relays).length === 1);

    expect(reasons(relays)).toEqual([expect.stringContaining("554 at RCPT TO (5.7.1)")]);
    refuses = false;

    expect(new Set((await sending).map(({ verdict }) => verdict))).toEqual(new Set(["sent"]));
  });

  it("stops failing mail when the relay refuses nearly everybody for good, until it takes one", async () => {
    let refuses = true;
    const refused = refuseAt("RCPT", "550 5.1.1 User unknown", () => refuses);
    const { relays, metric } = await start([refused]);
    const sending = sendMany(relays, 30);
    await until(() =>
      reasons(relays).some((reason) => /refuses nearly all mail, .*550/.test(reason)),
    );
    expect(await metric("wellsent_relay_refusing_all")).toEqual([1]);

    const results = await sending;

    const failed = results.filter(({ verdict }) => verdict === "failed");
    const kept = results.filter(
      (result) => "reason" in result && result.reason === "RELAY_REFUSES_ALL",
    );
    expect([failed.length, kept.length]).toEqual([19, 11]);
    expect(new Set(kept.map(({ verdict }) => verdict))).toEqual(new Set(["deferred"]));
    refuses = false;
    expect((await relays.send(mailTo("ada@example.com"), live)).verdict).toBe("sent");
    expect(await metric("wellsent_relay_refusing_all")).toEqual([0]);
    refuses = true;
    expect((await relays.send(mailTo("bob@example.com"), live)).verdict).toBe("failed");
  });

  it("finds a relay that is back under another address", async () => {
    const {
      relays,
      scripted: [relay],
    } = await start([undefined], { url: (port) => `smtp://localhost:${port}` });
    const moved = { value: { addresses: ["127.0.0.9"] }, expires: Date.now() + 300_000 };
    dnsCache.set("localhost", moved);

    expect((await relays.send(mailTo("ada@example.com"), live)).verdict).toBe("sent");

    expect(relay.taken).toEqual(["ada@example.com"]);
  });

  it("hands nothing over once the delivery's channel is lost", async () => {
    const {
      relays,
      scripted: [relay],
    } = await start([undefined]);

    const lost = { signal: AbortSignal.abort(), admit: always };
    await expect(relays.send(mailTo("ada@example.com"), lost)).rejects.toThrow("aborted");

    expect(relay.log).toEqual([]);
  });

  it("lets go of a held mail whose channel is lost, and of all when it is released", async () => {
    const { relays, release, told } = await start([refuseAt("greeting", "drop")]);
    const channel = new AbortController();
    const lost = relays.send(mailTo("ada@example.com"), { ...live, signal: channel.signal });
    const held = relays.send(mailTo("bob@example.com"), live);
    await until(() => told.length === 1);

    channel.abort();
    await expect(lost).rejects.toThrow("aborted");
    release();
    await expect(held).rejects.toThrow("aborted");
  });

  it("reports a mail as held that no relay admits in time, and sends later mail once the relay is back", async () => {
    let well = false;
    const { relays, told } = await start([refuseAt("EHLO", "421 4.3.2 no", () => !well)], {
      patience: { ...QUICK, held: 600 },
    });

    expect(await relays.send(mailTo("ada@example.com"), live)).toEqual({ verdict: "held" });
    well = true;
    await until(() => told.at(-1) === "well");

    expect((await relays.send(mailTo("bob@example.com"), live)).verdict).toBe("sent");
  });

  it("asks once whether a mail may be sent, when a relay admits it, and returns the place of one that may not", async () => {
    let well = false;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("MAIL", "421 4.3.2 no", () => !well)]);
    let asked = 0;
    const once = () => Promise.resolve(++asked > 0);
    const sending = relays.send(mailTo("ada@example.com"), { ...live, admit: once });
    await until(() => at(relay, "MAIL").length > 1);
    well = true;

    expect((await sending).verdict).toBe("sent");
    expect(asked).toBe(1);
    const no = { ...live, admit: () => Promise.resolve(false) };
    for (let number = 0; number < 4; number += 1) {
      expect(await relays.send(mailTo("bob@example.com"), no)).toEqual({ verdict: "withdrawn" });
    }
    expect((await relays.send(mailTo("cid@example.com"), live)).verdict).toBe("sent");
    expect(relay.taken).toEqual(["ada@example.com", "cid@example.com"]);
  });

  it("comes back when a relay that stalled answers new connections, and never the old", async () => {
    let well = false;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("RCPT", "stall", () => !well)]);
    const sending = sendMany(relays, 6);
    await until(() => reasons(relays).length === 1);

    well = true;
    const back = performance.now();
    await sending;

    expect(relay.taken).toHaveLength(6);
    expect(performance.now() - back).toBeLessThan(10_000);
  });

  it("is not stopped by mails that wait for a final reply that does not come", async () => {
    let well = false;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("dot", "stall", () => !well)]);
    for (const to of ["a@example.com", "b@example.com"]) void relays.send(mailTo(to), live);
    await until(() => relay.log.filter(({ phase }) => phase === "dot").length === 2);

    await until(() => reasons(relays).length === 1);
    expect(reasons(relays)).toEqual([expect.stringContaining("ETIMEDOUT at the final dot")]);
    well = true;
    await sendMany(relays, 4);

    expect(relay.taken).toHaveLength(4);
  });

  it("never has more connections than it may, however often the relay stalls", async () => {
    let stalls = false;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("dot", "stall", () => stalls)]);
    for (let stall = 0; stall < 3; stall += 1) {
      stalls = true;
      void sendMany(relays, 2, 100);
      await until(() => reasons(relays).length === 1);
      stalls = false;
      await sendMany(relays, 4);
    }

    expect(relay.taken.length).toBeGreaterThanOrEqual(12);
    expect(relay.connections.most).toBe(2);
  });

  it("leaves one that waits for its final reply alone while others pass", async () => {
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([
      (phase, to) => (phase === "dot" && to.startsWith("slow") ? "stall" : undefined),
    ]);
    let answered = false;
    void relays.send(mailTo("slow@example.com"), live).then(() => (answered = true));
    await until(() => at(relay, "dot").length === 1);

    const stop = flow(relays);
    const since = performance.now();
    await until(() => performance.now() - since > 2 * Math.max(...QUICK.alone));
    await stop();

    expect([answered, told]).toEqual([false, []]);
  });

  it("gives up the mail that waited longest, and no more, where it cannot see otherwise if the relay is back", async () => {
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("dot", "stall")], {
      patience: { ...QUICK, alone: [300], final: 600_000 },
    });
    const sending = ["a@example.com", "b@example.com", "c@example.com"].map((to) =>
      relays.send(mailTo(to), live),
    );

    expect(await Promise.race(sending)).toMatchObject({ verdict: "ambiguous" });
    await until(() => at(relay, "dot").length === 3);
  });
});

describe("a mail that breaks the connection each time", () => {
  const poison = mailTo("poison@example.com");
  const breakFor =
    (behaviour = "drop"): Script =>
    (phase, line) =>
      phase === "RCPT" && line.includes("poison") ? behaviour : undefined;

  it.each(["drop", "421 4.3.0 bye"])(
    "goes down a rung while others pass (%s)",
    async (behaviour) => {
      const {
        relays,
        scripted: [relay],
        told,
      } = await start([breakFor(behaviour)]);

      const stop = flow(relays);
      const result = await relays.send(poison, live);
      const count = await stop();

      expect(result.verdict).toBe("deferred");
      expect(relay.taken).toHaveLength(count);
      expect(told).toEqual([]);
    },
  );

  it("does not keep others from passing that come later", async () => {
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([breakFor()]);
    const sending = relays.send(poison, live);
    await until(() => told.includes("trouble"));

    const stop = flow(relays);
    expect((await sending).verdict).toBe("deferred");
    await stop();

    expect(relay.taken.length).toBeGreaterThan(0);
  });

  it("does not open the circuits of all relays", async () => {
    const {
      relays,
      scripted: [, second],
    } = await start([breakFor(), breakFor()]);

    expect((await relays.send(poison, live)).verdict).toBe("deferred");
    expect(reasons(relays).length).toBeLessThan(2);
    await sendMany(relays, 5);

    expect(at(second, "MAIL").length).toBeGreaterThan(0);
  });

  it("is no reason to blame mails when the relays break every connection", async () => {
    let well = false;
    const down = refuseAt("RCPT", "drop", () => !well);
    const { relays, scripted, told } = await start([down, down]);
    const sending = sendMany(relays, 20);
    await until(() => told.length >= 5);

    well = true;
    const results = await sending;

    expect(results.map(({ verdict }) => verdict)).toEqual(Array(20).fill("sent"));
    expect(scripted.flatMap(({ taken }) => taken)).toHaveLength(20);
  });
});

describe("Relays#send, with several relays", () => {
  it("goes on with the second while the first is down, and returns to the first", async () => {
    const {
      relays,
      scripted: [first, second],
      told,
    } = await start([undefined, undefined]);
    await sendMany(relays, 3);
    first.close();

    const down = performance.now();
    const results = await sendMany(relays, 3);
    expect(performance.now() - down).toBeLessThan(5_000);
    expect(results).toEqual(Array(3).fill(expect.objectContaining({ relay: nameOf(second) })));
    expect(reasons(relays)).toEqual([expect.stringContaining(`${nameOf(first)}: ECONNREFUSED`)]);
    const back = await startScriptedRelay(undefined, first.port);
    ended.push(back.close);
    await until(() => reasons(relays).length === 0);

    await sendMany(relays, 3);
    expect([first.taken.length, second.taken.length, back.taken.length]).toEqual([3, 3, 3]);
    expect(told).toEqual([]);
  });

  it("goes on with the second in seconds when the first stalls, wherever", async () => {
    const phases = ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"] as const;
    const cases = phases.flatMap((phase) => [0, 2].map((stuck) => ({ phase, stuck })));

    const late = await Promise.all(
      cases.map(async ({ phase, stuck }) => {
        let stalls = false;
        const stall = refuseAt(phase, "stall", () => stalls);
        const { relays, scripted } = await start([stall, undefined], { patience: PATIENCE });
        // A stall within the transaction is met on connections that are there.
        if (!["greeting", "EHLO", "AUTH"].includes(phase)) await sendMany(relays, 2);
        stalls = true;
        for (let number = 0; number < stuck; number += 1)
          relays.send(mailTo(`stuck${number}@example.com`), live).catch(() => undefined);
        // With no other mail to hold the places, one at the final dot may wait for its reply.
        if (phase === "dot" && stuck === 0) return undefined;

        const began = performance.now();
        await relays.send(mailTo("ada@example.com"), live);
        const took = performance.now() - began;
        const bySecond = scripted[1].taken.includes("ada@example.com");
        return bySecond && took < 20_000 ? undefined : { phase, stuck, took, bySecond };
      }),
    );

    expect(late.filter((each) => each !== undefined)).toEqual([]);
  });

  it("asks for more mail when all that there is waits for its final reply, and gives none of it up", async () => {
    const {
      relays,
      scripted: [first, second],
      told,
    } = await start([refuseAt("dot", "stall"), undefined]);
    let answered = false;
    void sendMany(relays, 2).then(() => (answered = true));
    await until(() => at(first, "dot").length === 2);

    await until(() => told.length > 0);
    expect(told).toEqual(["trouble", "well"]);
    await sendMany(relays, 4);

    expect(second.taken).toHaveLength(4);
    await until(() => at(first, "greeting").length === 2);
    expect(first.connections).toEqual({ now: 2, most: 2 });
    expect(answered).toBe(false);
  });

  it("holds mail only while all are in trouble", async () => {
    const {
      relays,
      scripted: [first, second],
      told,
    } = await start([undefined, undefined]);
    first.close();
    second.close();

    const sending = relays.send(mailTo("ada@example.com"), live);
    await until(() => told.length === 1);
    expect(reasons(relays)).toHaveLength(2);
    const back = await startScriptedRelay(undefined, second.port);
    ended.push(back.close);

    expect(await sending).toMatchObject({ relay: nameOf(second) });
    expect(told).toEqual(["trouble", "well"]);
  });
});

describe("relays that misbehave at random", () => {
  it.each([1, 2])("lose no mail, send none twice and exceed no rate (seed %s)", async (seed) => {
    const random = randomFrom(seed);
    const pick = <T>(choices: readonly T[]) => choices[Math.floor(random() * choices.length)] as T;
    const phases = ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"] as const;
    const replies = ["drop", "421 4.3.2 bye", "451 4.3.0 later", "550 5.1.1 no", "454 4.7.0 slow"];
    let on = true;
    const faults = [undefined, undefined] as (Partial<Record<Phase, string>> | undefined)[];
    const scripts = faults.map((_, relay): Script => (phase) => {
      // Each trouble lasts for some replies.
      if (random() < 0.05) faults[relay] = random() < 0.5 ? {} : { [pick(phases)]: pick(replies) };
      const fault = on ? faults[relay]?.[phase] : undefined;
      // Whether a mail was taken is not known when its connection is lost after the final dot.
      return phase === "dot" && fault === "drop" ? undefined : fault;
    });
    const { relays, scripted } = await start(scripts, {
      url: (port) => `smtp://127.0.0.1:${port}?connections=3&rate=60`,
    });

    const sending = Array.from({ length: 10 }, (_, client) => sendMany(relays, 20, client * 20));
    setTimeout(() => (on = false), 3_000);
    const results = (await Promise.all(sending)).flat();

    const taken = scripted.flatMap((relay) => relay.taken);
    expect(results).toHaveLength(200);
    expect(results.filter(({ verdict }) => verdict === "sent")).toHaveLength(taken.length);
    expect(new Set(taken).size).toBe(taken.length);
    for (const relay of scripted) expect(mostIn(1_000, at(relay, "MAIL"))).toBeLessThanOrEqual(60);
  });
});

describe("a refused password", () => {
  it("is named, counted and waited out; the right one in the file lets mail flow", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "wellsent-password-")), "password");
    ended.push(() => rmSync(join(file, ".."), { recursive: true }));
    writeFileSync(file, "wrong-secret\n");
    const right = Buffer.from("\0user\0right-secret").toString("base64");
    const { relays, told, logged, metric } = await start(
      [
        (phase, line) =>
          phase === "AUTH" && !line.endsWith(right) ? "535 5.7.8 ada@example.com no" : undefined,
      ],
      { url: (port) => `smtp://user@127.0.0.1:${port}?passwordFile=${file}` },
    );

    const sending = sendMany(relays, 5);
    await until(() => told.length === 1);
    expect(reasons(relays)).toEqual([
      expect.stringContaining("authentication refused, 535 at AUTH"),
    ]);
    expect(await metric("wellsent_relay_auth_refused")).toEqual([1]);
    writeFileSync(file, "right-secret\n");
    const results = await sending;

    expect(new Set(results.map(({ verdict }) => verdict))).toEqual(new Set(["sent"]));
    expect(await metric("wellsent_relay_auth_refused")).toEqual([0]);
    expect(JSON.stringify(logged)).not.toMatch(/secret|ada@/);
  });
});

describe("a relay's rate", () => {
  it.each([
    ["5", 15, 1_000, 5],
    ["300/m", 8, 60_000, 300],
    ["2.5", 5, 400, 1],
  ])("of %s is never exceeded", async (rate, count, periodMs, most) => {
    const {
      relays,
      scripted: [relay],
    } = await start([undefined], {
      url: (port) => `smtp://127.0.0.1:${port}?connections=10&rate=${rate}`,
    });

    await sendMany(relays, count);

    for (const phase of ["MAIL", "dot"] as const)
      expect(mostIn(periodMs, at(relay, phase))).toBeLessThanOrEqual(most);
    expect(relay.taken).toHaveLength(count);
  });

  it("is not exceeded by mails that were delayed on their way", async () => {
    let slow = true;
    const {
      relays,
      scripted: [relay],
    } = await start([(phase) => (phase === "greeting" && slow ? "stall" : undefined)], {
      url: (port) => `smtp://127.0.0.1:${port}?connections=10&rate=5`,
    });

    const sending = sendMany(relays, 15);
    await until(() => reasons(relays).length === 1);
    slow = false;
    await sending;

    expect(mostIn(1_000, at(relay, "MAIL"))).toBeLessThanOrEqual(5);
  });

  it("is not exceeded by connections that break when they are used again", async () => {
    let mails = 0;
    const {
      relays,
      scripted: [relay],
    } = await start([(phase) => (phase === "MAIL" && ++mails % 3 === 0 ? "drop" : undefined)], {
      url: (port) => `smtp://127.0.0.1:${port}?rate=5`,
    });

    await sendMany(relays, 12);

    expect(mostIn(1_000, at(relay, "MAIL"))).toBeLessThanOrEqual(5);
  });

  it("is not used up by connections that came to nothing", async () => {
    const {
      relays,
      scripted: [relay],
    } = await start([undefined], {
      url: (port) => `smtp://127.0.0.1:${port}?rate=1/m`,
    });
    relay.close();
    const sending = relays.send(mailTo("ada@example.com"), live);
    await until(() => reasons(relays).length === 1);
    const back = await startScriptedRelay(undefined, relay.port);
    ended.push(back.close);

    expect((await sending).verdict).toBe("sent");
  });
});

interface Options {
  url?: (port: number) => string;
  patience?: Patience;
}

/** Starts relays that follow scripts, in order of preference, and what hands mails to them. */
async function start<const Scripts extends readonly (Script | undefined)[]>(
  scripts: Scripts,
  { url, patience }: Options = {},
) {
  const starting = scripts.map((script) => startScriptedRelay(script));
  const scripted = (await Promise.all(starting)) as { [At in keyof Scripts]: ScriptedRelay };
  const told: string[] = [];
  const logged: unknown[] = [];
  const note = (...line: unknown[]) => void logged.push(line);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const registry = new Registry();
  const ending = new AbortController();
  const release = () => ending.abort();
  const relays = new Relays({
    ending: ending.signal,
    relays: scripted.flatMap(({ port }) => (url ? fromUrl(url(port)) : relayAt(port))),
    patience: patience ?? QUICK,
    onTrouble: () => told.push("trouble"),
    onWell: () => told.push("well"),
    metrics: createEmailerMetrics(registry),
    log,
  });
  ended.push(...scripted.map(({ close }) => close), () => relays.stop(), release);
  const metric = async (name: string) =>
    (await registry.getMetricsAsJSON())
      .filter((each) => each.name === name)
      .flatMap(({ values }) => values.map(({ value }) => value));
  return { relays, release, scripted, told, logged, metric };
}

function fromUrl(url: string): RelayConfig[] {
  const { relays } = loadConfig({
    AMQP_URL: "amqp://broker",
    MAIL_FROM: "post@horn.example",
    SMTP_URLS: url,
  });
  return relays;
}

async function sendMany(relays: Relays, count: number, first = 0) {
  const numbers = Array.from({ length: count }, (_, number) => first + number);
  return Promise.all(
    numbers.map((number) => relays.send(mailTo(`user${number}@example.com`), live)),
  );
}

/** Sends one mail after the other, until it is stopped; resolves to how many. */
function flow(relays: Relays): () => Promise<number> {
  const ending = new AbortController();
  let count = 0;
  const flowing = (async () => {
    while (!ending.signal.aborted) await relays.send(mailTo(`flow${count++}@example.com`), live);
  })();
  return async () => {
    ending.abort();
    await flowing;
    return count;
  };
}

function at({ log }: ScriptedRelay, phase: Phase) {
  return log.filter((each) => each.phase === phase);
}

function mostIn(periodMs: number, events: readonly { at: number }[]): number {
  return Math.max(
    ...events.map(
      ({ at }) => events.filter((other) => other.at >= at && other.at < at + periodMs).length,
    ),
  );
}

function nameOf({ port }: ScriptedRelay): string {
  return `127.0.0.1:${port}`;
}

function reasons(relays: Relays): string[] {
  return relays.checks.flatMap((check) => check()?.reason ?? []);
}

/** The same numbers between 0 and 1 for the same seed (the "minimal standard" of Park and Miller). */
function randomFrom(seed: number): () => number {
  let state = seed * 9_973;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}
