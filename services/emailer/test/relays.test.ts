import { afterEach, describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "@wellsent/runtime";
import { waitFor } from "@wellsent/testing";
import { Registry } from "prom-client";
import { loadConfig, type RelayConfig } from "../src/config.ts";
import { createEmailerMetrics } from "../src/metrics.ts";
import { Relays, type SendOptions } from "../src/relay/relays.ts";
import { TIMEOUTS, type Timeouts } from "../src/relay/timeouts.ts";
import {
  startScriptedRelay,
  WELL,
  type Phase,
  type Script,
  type ScriptedRelay,
} from "./scripted-relay.ts";
import { mailTo, relayAt, until } from "./support.ts";

/** A relay gets as long as it needs, but for what each test says. */
const QUICK: Timeouts = {
  ...TIMEOUTS,
  failover: 300,
  slow: 300,
  pause: 200,
  held: 60_000,
  quit: 500,
};
/** Times of the RFC made short. */
const IMPATIENT: Timeouts = { ...QUICK, greeting: 600, command: 600, data: 600, block: 600 };
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
    expect(told).toEqual(["down", "up"]);
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

  it("opens another connection when the relay ends one with 421 after some mails", async () => {
    let mails = 0;
    const fourth = refuseAt("MAIL", "421 4.7.0 too many", () => ++mails % 4 === 0);
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([fourth], { url: (port) => `smtp://127.0.0.1:${port}?connections=1` });

    await sendMany(relays, 12);

    expect(relay.taken).toHaveLength(12);
    expect(at(relay, "greeting")).toHaveLength(4);
    expect(told).toEqual([]);
  });

  it("keeps to the connections that the relay accepts", async () => {
    let connected = 0;
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([
      async (phase) => {
        if (phase === "greeting" && ++connected > 1) return "421 4.7.0 too many connections";
        if (phase === "dot") await sleep(20);
        return WELL[phase];
      },
    ]);
    await relays.send(mailTo("ada@example.com"), live);

    await sendMany(relays, 10);

    expect(relay.taken).toHaveLength(11);
    expect(told).toEqual([]);
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
      timeouts: { ...QUICK, held: 600 },
    });

    expect(await relays.send(mailTo("ada@example.com"), live)).toEqual({ verdict: "held" });
    well = true;
    await until(() => told.at(-1) === "up");

    expect((await relays.send(mailTo("bob@example.com"), live)).verdict).toBe("sent");
  });

  it("asks each time a relay admits a mail whether it may be sent, and returns the place of one that may not", async () => {
    let well = false;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("MAIL", "421 4.3.2 no", () => !well)]);
    let asked = 0;
    const count = () => Promise.resolve(++asked > 0);
    const sending = relays.send(mailTo("ada@example.com"), { ...live, admit: count });
    await until(() => at(relay, "MAIL").length > 1);
    well = true;

    expect((await sending).verdict).toBe("sent");
    expect(asked).toBe(at(relay, "MAIL").length);
    const no = { ...live, admit: () => Promise.resolve(false) };
    for (let number = 0; number < 4; number += 1) {
      expect(await relays.send(mailTo("bob@example.com"), no)).toEqual({ verdict: "withdrawn" });
    }
    expect((await relays.send(mailTo("cid@example.com"), live)).verdict).toBe("sent");
    expect(relay.taken).toEqual(["ada@example.com", "cid@example.com"]);
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
    await until(() => performance.now() - since > 3 * QUICK.slow);
    await stop();

    expect([answered, told]).toEqual([false, []]);
  });
});

describe("a slow relay", () => {
  const slowAt =
    (phase: Phase, ms: number): Script =>
    async (at) => {
      if (at === phase) await sleep(ms);
      return WELL[at];
    };

  it("gets each mail once, however long its final reply takes", async () => {
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([slowAt("dot", 3 * QUICK.slow)]);

    const results = await sendMany(relays, 6);

    expect(results.map(({ verdict }) => verdict)).toEqual(Array(6).fill("sent"));
    expect(at(relay, "dot")).toHaveLength(6);
    expect(relay.taken).toHaveLength(6);
    expect(told).toEqual([]);
  });

  it.each(["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] as const)(
    "gets its mail, slow at %s",
    async (phase) => {
      const {
        relays,
        scripted: [relay],
        told,
      } = await start([slowAt(phase, 3 * QUICK.failover)]);

      expect((await relays.send(mailTo("ada@example.com"), live)).verdict).toBe("sent");
      expect(relay.taken).toEqual(["ada@example.com"]);
      expect(told).toEqual([]);
    },
  );

  it.each(["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] as const)(
    "that stalls at %s leaves its mail to another relay",
    async (phase) => {
      const { relays, scripted } = await start([refuseAt(phase, "stall"), undefined]);

      await sendMany(relays, 3);

      expect(scripted[1].taken).toHaveLength(3);
    },
  );

  it("leaves mails that wait to the next relay while each of its connections waits, and keeps its own", async () => {
    let waits = true;
    const {
      relays,
      scripted: [first, second],
      told,
      metric,
    } = await start([
      async (phase) => {
        if (phase === "dot") await waitFor("the end of waiting", () => !waits);
        return WELL[phase];
      },
      undefined,
    ]);

    const stuck = sendMany(relays, 2);
    await until(() => at(first, "dot").length === 2);
    await sendMany(relays, 4, 2);
    expect(second.taken).toHaveLength(4);
    expect(await metric("wellsent_relay_slow")).toEqual([1, 0]);
    expect(reasons(relays)).toEqual([expect.stringContaining("every connection waits")]);
    waits = false;
    const results = await stuck;

    expect(results.map(({ verdict }) => verdict)).toEqual(["sent", "sent"]);
    expect(first.taken).toHaveLength(2);
    expect(reasons(relays)).toEqual([]);
    expect(told).toEqual([]);
  });

  it("has more deliveries consumed when all that there are wait for it, and another relay is ready", async () => {
    const { relays, scripted, told } = await start([refuseAt("dot", "stall"), undefined]);
    void sendMany(relays, 2);
    await until(() => at(scripted[0], "dot").length === 2);

    await until(() => told.length > 0);

    expect(told).toEqual(["down", "up"]);
  });

  it("leaves a mail in doubt only after the time for the final reply, and is then down", async () => {
    const { relays } = await start([refuseAt("dot", "stall")], {
      timeouts: { ...QUICK, final: 700 },
    });

    expect((await relays.send(mailTo("ada@example.com"), live)).verdict).toBe("ambiguous");

    expect(reasons(relays)).toEqual([expect.stringContaining("ETIMEDOUT at the final dot")]);
  });
});

describe("421", () => {
  it.each(["EHLO", "AUTH"] as const)(
    "at %s opens the circuit, and a probe closes it with no mail lost",
    async (phase) => {
      let refuses = true;
      const {
        relays,
        scripted: [relay],
        told,
      } = await start([refuseAt(phase, "421 4.3.2 closing", () => refuses)]);
      const sending = sendMany(relays, 4);
      await until(() => told.length === 1);
      expect(reasons(relays)).toEqual([expect.stringContaining(`421 at ${phase}`)]);
      refuses = false;

      const results = await sending;

      expect(results.map(({ verdict }) => verdict)).toEqual(Array(4).fill("sent"));
      expect(relay.taken).toHaveLength(4);
      expect(told).toEqual(["down", "up"]);
    },
  );

  it.each(["MAIL", "RCPT", "DATA", "dot"] as const)(
    "at %s sends the mail over another connection, and opens no circuit",
    async (phase) => {
      let refusals = 0;
      const {
        relays,
        scripted: [relay],
        told,
      } = await start([refuseAt(phase, "421 4.3.2 closing", () => ++refusals === 1)]);

      const results = await sendMany(relays, 4);

      expect(results.map(({ verdict }) => verdict)).toEqual(Array(4).fill("sent"));
      expect(relay.taken).toHaveLength(4);
      expect(new Set(relay.taken).size).toBe(4);
      expect(at(relay, phase)).toHaveLength(5);
      expect(told).toEqual([]);
    },
  );

  it.each(["MAIL", "RCPT", "DATA", "dot"] as const)(
    "at %s, to every mail, opens the circuit, and every mail is sent once when it ends",
    async (phase) => {
      let refuses = true;
      const {
        relays,
        scripted: [relay],
        told,
      } = await start([refuseAt(phase, "421 4.3.2 closing", () => refuses)]);
      const sending = sendMany(relays, 6);
      await until(() => told.length === 1);
      refuses = false;

      const results = await sending;

      expect(results.map(({ verdict }) => verdict)).toEqual(Array(6).fill("sent"));
      expect(new Set(relay.taken).size).toBe(6);
      expect(relay.taken).toHaveLength(6);
    },
  );
});

describe("a circuit that a mail opened", () => {
  it("is not closed by probes that succeed, and has one mail at a time tried", async () => {
    let refuses = true;
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([refuseAt("MAIL", "421 4.7.0 not now", () => refuses)]);
    const sending = sendMany(relays, 10);
    await until(() => reasons(relays).length === 1);
    const tried = at(relay, "MAIL").length;
    await until(() => at(relay, "MAIL").length >= tried + 3);
    expect(told).toEqual(["down"]);
    expect(relay.connections.now).toBeLessThan(2);
    refuses = false;

    const results = await sending;

    expect(results.map(({ verdict }) => verdict)).toEqual(Array(10).fill("sent"));
    expect(told).toEqual(["down", "up"]);
  });

  it("ends the idle connections with QUIT", async () => {
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("RCPT", "554 5.7.1 Relay access denied", () => refuses)]);
    let refuses = false;
    await sendMany(relays, 2);
    refuses = true;
    relays.send(mailTo("ada@example.com"), live).catch(() => undefined);

    await until(() => reasons(relays).length === 1 && relay.connections.now === 0);
    expect(at(relay, "QUIT").length).toBeGreaterThanOrEqual(2);
  });
});

describe("a relay that resets its connections", () => {
  it.each(["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"] as const)(
    "at %s loses no mail",
    async (phase) => {
      let resets = true;
      const {
        relays,
        scripted: [relay],
      } = await start([refuseAt(phase, "reset", () => resets)], {
        timeouts: { ...QUICK, idle: 50 },
      });
      const sending = sendMany(relays, 4);
      await until(() => at(relay, phase).length >= 2);
      resets = false;

      const results = await sending;

      expect(results.map(({ verdict }) => verdict)).toEqual(Array(4).fill("sent"));
      expect(relay.taken).toHaveLength(4);
    },
  );

  it("at the final dot leaves one mail in doubt", async () => {
    let resets = 0;
    const {
      relays,
      scripted: [relay],
    } = await start([refuseAt("dot", "reset", () => ++resets === 1)]);

    const results = await sendMany(relays, 4);

    expect(results.map(({ verdict }) => verdict).sort()).toEqual([
      "ambiguous",
      "sent",
      "sent",
      "sent",
    ]);
    expect(at(relay, "dot")).toHaveLength(4);
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

  it("opens no circuit, also where no other mail passes", async () => {
    const { relays, scripted, told } = await start([breakFor(), breakFor()]);

    expect((await relays.send(poison, live)).verdict).toBe("deferred");
    await sendMany(relays, 5);

    expect(scripted[0].taken).toHaveLength(5);
    expect(told).toEqual([]);
  });

  it("lets other mail show that the relay works, when it alone has the relay refuse us", async () => {
    const refusal = "530 5.7.0 authenticate first";
    const {
      relays,
      scripted: [relay],
      told,
    } = await start([breakFor(refusal)]);
    const sending = relays.send(poison, live);
    await until(() => told.includes("up"));

    const stop = flow(relays);
    expect((await sending).verdict).toBe("deferred");
    await stop();

    expect(relay.taken).not.toContain("poison@example.com");
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

  it("holds mail only while all are down", async () => {
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
    expect(told).toEqual(["down", "up"]);
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

    for (const phase of ["MAIL", "dot"] as const) {
      expect(mostIn(periodMs, at(relay, phase))).toBeLessThanOrEqual(most);
    }
    expect(relay.taken).toHaveLength(count);
  });

  it("is not exceeded by mails that were delayed on their way", async () => {
    let slow = true;
    const {
      relays,
      scripted: [relay],
    } = await start([(phase) => (phase === "greeting" && slow ? "stall" : undefined)], {
      url: (port) => `smtp://127.0.0.1:${port}?connections=10&rate=5`,
      timeouts: IMPATIENT,
    });

    const sending = sendMany(relays, 15);
    await until(() => reasons(relays).some((reason) => reason.includes("ETIMEDOUT")));
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
  timeouts?: Timeouts;
}

/** Starts relays that follow scripts, in order of preference, and what hands mails to them. */
async function start<const Scripts extends readonly (Script | undefined)[]>(
  scripts: Scripts,
  { url, timeouts }: Options = {},
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
    timeouts: timeouts ?? QUICK,
    onDown: () => told.push("down"),
    onUp: () => told.push("up"),
    metrics: createEmailerMetrics(registry),
    log,
  });
  ended.push(...scripted.map(({ close }) => close), () => void relays.stop(), release);
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
