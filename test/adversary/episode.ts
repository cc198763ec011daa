import { setTimeout as sleep } from "node:timers/promises";
import { seeded, waitFor, type Random } from "@wellsent/testing";
import type { Phase } from "../chaos/smtp-relay.ts";
import { judge, type Expected, type Verdict } from "./judge.ts";
import type { Lane } from "./lane.ts";
import { SLOW_PHASES } from "./relay.ts";

/** A system that has not sent and recorded everything by then has lost what is missing. */
const END_MS = 120_000;
const GREYLISTED = 0.2;
/** Between the broker and the API: a confirm that is held back makes the API publish again. */
const CONFIRM = "basic.ack";

/** What an episode did, and what came of it. */
export interface Outcome extends Verdict {
  seed: number;
  /** The situation in words. */
  what: string;
  accepted: number;
  seconds: number;
}

/** One attack. Resolves when it is over. */
type Attack = (lane: Lane, random: Random) => { what: string; strike: () => Promise<void> };

/** Waits for a relay to reach a phase for the nth time, or a short while if it does not. */
function reached({ relay }: Lane, phase: Phase, nth: number): Promise<void> {
  let count = 0;
  const before = relay.onPhase;
  return new Promise((resolve) => {
    const giveUp = setTimeout(resolve, 5_000);
    relay.onPhase = (at, session) => {
      before(at, session);
      count += at === phase ? 1 : 0;
      if (count < nth) return;
      clearTimeout(giveUp);
      resolve();
    };
  });
}

/** Resets broker connections: of all services, or of one emailer. */
const reset: Attack = (lane, random) => {
  const phase = random.pick(SLOW_PHASES);
  const nth = random.whole(1, 8);
  const laterMs = random.whole(0, 700);
  const times = random.whole(1, 2);
  const victim = random.chance(0.5) ? undefined : random.pick(lane.emailers);
  const name = victim?.service.name ?? "all";
  const members = victim ? [victim] : [...lane.emailers, lane.logger];
  return {
    what: `reset ${name} x${times} at ${phase} ${nth} + ${laterMs} ms`,
    strike: async () => {
      await reached(lane, phase, nth);
      for (let time = 0; time < times; time += 1) {
        await sleep(laterMs);
        for (const { link } of members) link.reset();
      }
    },
  };
};

/** Kills an emailer at its nth publish while it splits an email, or at a phase of a mail. */
const killEmailer: Attack = (lane, random) => {
  const nth = random.whole(1, 30);
  const awayMs = random.whole(0, 1_500);
  return {
    what: `kill the emailer that splits at ${nth}, away ${awayMs} ms`,
    strike: async () => {
      const victim = await new Promise<(typeof lane.emailers)[number] | undefined>((resolve) => {
        const giveUp = setTimeout(resolve, 8_000, undefined);
        for (const member of lane.emailers) {
          let count = 0;
          member.link.onPublish = (exchange) => {
            count += exchange === "emailer.entry" ? 1 : 0;
            if (count !== nth) return;
            clearTimeout(giveUp);
            resolve(member);
          };
        }
      });
      for (const { link } of lane.emailers) link.onPublish = () => undefined;
      if (victim) await lane.kill(victim, awayMs);
    },
  };
};

const killLogger: Attack = (lane, random) => {
  const phase = random.pick(SLOW_PHASES);
  const nth = random.whole(1, 8);
  const awayMs = random.whole(0, 2_500);
  return {
    what: `kill logger at ${phase} ${nth}, away ${awayMs} ms`,
    strike: async () => {
      await reached(lane, phase, nth);
      await lane.kill(lane.logger, awayMs);
    },
  };
};

/** Holds back the broker's confirms until the API has lost its connection, so that it publishes its sends again. */
const publishAgain: Attack = ({ apiProxy }, random) => {
  const afterMs = random.whole(0, 800);
  return {
    what: `publish again after ${afterMs} ms`,
    strike: async () => {
      apiProxy.meddle((method) => (method === CONFIRM ? "drop" : "pass"));
      await sleep(afterMs);
      apiProxy.cut();
      apiProxy.meddle(() => "pass");
    },
  };
};

const outage: Attack = ({ relay }, random) => {
  const ms = Math.round(200 * 60 ** random.next());
  return {
    what: `relay away ${ms} ms`,
    strike: async () => {
      relay.behaviour = { ...relay.behaviour, away: true };
      await sleep(ms);
      relay.behaviour = { ...relay.behaviour, away: false };
    },
  };
};

const ATTACKS = [reset, reset, reset, killEmailer, killLogger, publishAgain, outage];

/** Runs one episode: mails, a slow relay and up to three attacks at a time, until everything is sent and recorded. */
export async function runEpisode(lane: Lane, seed: number): Promise<Outcome> {
  const random = seeded(seed);
  const began = Date.now();
  const from = lane.relay.takes.length;
  const slow = slowness(random);
  const greylists = new Set<string>();
  const picked = new Set(Array.from({ length: random.whole(1, 3) }, () => random.pick(ATTACKS)));
  const attacks = [...picked].map((attack) => attack(lane, random.fork()));
  const fate = random.fork();
  lane.relay.behaviour = {
    slow,
    away: false,
    greylists: (recipient) => {
      if (fate.chance(GREYLISTED)) greylists.add(recipient);
      return greylists.has(recipient);
    },
  };
  const striking = Promise.all(attacks.map(({ strike }) => strike()));
  const split = picked.has(killEmailer) || random.chance(0.3) ? random.whole(10, 50) : 1;
  const sizes = [split, ...Array.from({ length: random.whole(6, 14) }, () => 1)];
  const sent = await Promise.all(
    sizes.map((size, number) => send(lane.api, `s${seed}-${number}`, size)),
  );
  await striking;
  lane.relay.relent();
  const expected = sent.flat();
  await waitFor(`seed ${seed}`, () => isOver(lane, expected), END_MS).catch(() => undefined);
  const takes = lane.relay.takes.slice(from);
  const known = { lines: lane.lines(), confirmed: lane.confirmed(), deaths: lane.deaths() };
  const verdict = judge({ expected, takes, ...known });
  const relay = `${slow.phase} takes ${slow.ms} ms`;
  const what = [relay, `1 to ${split}`, ...attacks.map((attack) => attack.what)].join("; ");
  const seconds = (Date.now() - began) / 1_000;
  return { seed, what, accepted: expected.length, seconds, ...verdict };
}

/** Half of the relays are so slow that redelivery, questions and leases run their course before the reply. */
function slowness(random: Random): { phase: Phase; ms: number } {
  const phase = random.chance(0.4) ? "dot" : random.pick(SLOW_PHASES);
  const ms = random.chance(0.5)
    ? random.whole(3_000, 8_000)
    : Math.round(100 * 30 ** random.next());
  return { phase, ms };
}

async function isOver(lane: Lane, expected: readonly Expected[]): Promise<boolean> {
  const sent = lane.lines().filter(({ kind }) => kind === "email.sent");
  const ids = new Set(sent.map(({ delivery }) => delivery));
  return expected.every(({ delivery }) => ids.has(delivery)) && (await lane.isIdle());
}

/** Sends one email; resolves to its deliveries, none if it was not accepted. */
async function send(api: string, name: string, count: number): Promise<Expected[]> {
  const toaddr = Array.from({ length: count }, (_, index) => `${name}-${index}@well.example`);
  const response = await fetch(`${api}/send`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ toaddr, subject: name, body: "It works." }),
  }).catch(() => undefined);
  if (response?.status !== 202) return [];
  const { id } = (await response.json()) as { id: string };
  return toaddr.map((recipient, index) => ({ recipient, delivery: `${id}.${index}.0` }));
}
