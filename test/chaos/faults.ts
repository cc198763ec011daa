import { setTimeout as sleep } from "node:timers/promises";
import { type Random, waitFor } from "@wellsent/testing";
import type { Load } from "./load.ts";
import { MOODS, type Mood } from "./relay.ts";
import { EMAILERS, PROCESSES, type ChaosSystem, type ProcessName } from "./system.ts";

/** With fewer in flight a kill proves little, and does not count. */
export const BUSY = 20;
/** Requests at once, so that a process is caught with its hands full. */
const BURST = 80;

/** The exchange of the deliveries into which an email to several recipients is split. */
const EMAILER_ENTRY = "emailer.entry";
const RECIPIENTS_MAX = 50;
/** The broker may be away; then no email is split. */
const SPLIT_MS = 5_000;
type EmailerName = (typeof EMAILERS)[number];

/** What a fault has to do with. */
export interface Context {
  system: ChaosSystem;
  load: Load;
  random: Random;
}

/** A fault: it resolves when it is over, to what was in flight as it struck. */
export interface Fault {
  name: string;
  /** The process that it kills. */
  kills?: ProcessName;
  strike: (context: Context) => Promise<number>;
}

/** Kills of each process, as many as of any other; `hasDisk`: there is a disk to be filled. */
export function killsOf(hasDisk: boolean): Fault[][] {
  const kills = PROCESSES.map((name): Fault[] => [
    { name: `kill ${name}`, kills: name, strike: (context) => kill(name, context) },
  ]);
  const onFullDisk = { name: "kill logger on a full disk", kills: "logger" } as const;
  if (hasDisk) {
    kills
      .find(([first]) => first?.kills === "logger")
      ?.push({ ...onFullDisk, strike: killOnFullDisk });
  }
  return kills;
}

/** Everything else that goes wrong. */
export function otherFaults(links: readonly string[], hasDisk: boolean): Fault[] {
  const moods = Object.keys(MOODS) as Mood[];
  return [
    ...PROCESSES.map((name) => lasting(`freeze ${name}`, freeze(name))),
    ...links.map((name) =>
      lasting(`reset ${name}`, ({ system }) => void system.link(name).reset()),
    ),
    ...links.map((name) => lasting(`stall ${name}`, stall(name))),
    ...links.map((name) => lasting(`slow ${name}`, slow(name))),
    ...moods.map((mood) => lasting(`relay ${mood}`, turn(mood))),
    lasting("relay changes password", changePassword),
    lasting("reset emailers' broker connections during a slow dot", resetDuringSlowDot),
    lasting("kill an emailer that splits", killWhileSplitting),
    ...(hasDisk ? [lasting("disk full", fillDisk)] : []),
  ];
}

/** What is in flight in the whole system at this moment, or in the hands of one process. */
export function inFlight({ system, load }: Context, name?: ProcessName): number {
  if (name === "api") return load.outstanding;
  if (name && name !== "broker") return system.link(`${name}-broker`).inFlight.unsettled;
  const links = [...system.links.values()].map((link) => link.inFlight);
  const counts = links.map(({ unsettled, unconfirmed }) => unsettled + unconfirmed);
  return counts.reduce((sum, count) => sum + count, 0);
}

async function kill(name: ProcessName, context: Context): Promise<number> {
  await becomeBusy(name, context);
  return killNow(name, context);
}

async function killNow(name: ProcessName, context: Context): Promise<number> {
  const { system, random } = context;
  const count = inFlight(context, name);
  await system.kill(name);
  await sleep(random.whole(0, 1_500));
  await system.restart(name);
  return count;
}

/** What the logger cannot write must not be acknowledged; it starts again on a disk that is still full. */
async function killOnFullDisk(context: Context): Promise<number> {
  const { system, random } = context;
  await letWait(context, () => system.disk?.fill());
  // It gives back what it has when it cannot write for a while.
  await sleep(random.whole(0, 150));
  const count = await killNow("logger", context);
  await sleep(random.whole(0, 4_000));
  system.disk?.free();
  return count;
}

/** Waits for a moment at which the process has enough in its hands, and brings it about if need be. */
async function becomeBusy(name: ProcessName, context: Context): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    if (name === "logger") await letWait(context);
    else context.load.burst(BURST);
    await waitFor("enough", () => inFlight(context, name) >= BUSY, 500).catch(() => undefined);
    // A random moment of its work.
    await sleep(context.random.whole(0, 40));
    if (inFlight(context, name) >= BUSY) return;
    await sleep(200);
  }
}

/** The logger is too fast to be caught with much in its hands, unless some of it has had to wait. */
async function letWait(context: Context, then?: () => void): Promise<void> {
  const { system, random } = context;
  const wanted = random.whole(5 * BUSY, 20 * BUSY);
  await system.signal("logger", "SIGSTOP");
  const waited = () => inFlight(context, "logger") >= wanted;
  await waitFor("the logger has much to do", waited, 3_000).catch(() => undefined);
  then?.();
  await system.signal("logger", "SIGCONT");
}

type Strike = (context: Context) => Promise<void> | void;

function lasting(name: string, strike: Strike): Fault {
  return {
    name,
    strike: async (context) => {
      const count = inFlight(context);
      await strike(context);
      return count;
    },
  };
}

function freeze(name: ProcessName): Strike {
  return async ({ system, random }) => {
    await system.signal(name, "SIGSTOP");
    await sleep(random.whole(500, 6_000));
    await system.signal(name, "SIGCONT");
  };
}

function stall(name: string): Strike {
  return async ({ system, random }) => {
    system.link(name).stall(true);
    await sleep(random.whole(500, 6_000));
    system.link(name).stall(false);
  };
}

function slow(name: string): Strike {
  return async ({ system, random }) => {
    system.link(name).slow(true);
    await sleep(random.whole(1_000, 6_000));
    system.link(name).slow(false);
  };
}

function turn(mood: Mood): Strike {
  return async ({ system, random }) => {
    system.relay.turn(mood);
    await sleep(random.whole(500, 6_000));
    system.relay.turn("well");
  };
}

/** The broker's connections are lost while mails wait for their final reply: nobody may begin them again meanwhile. */
async function resetDuringSlowDot({ system, random }: Context): Promise<void> {
  system.relay.turn("slow dot");
  await sleep(random.whole(200, 2_000));
  for (const name of EMAILERS) system.link(`${name}-broker`).reset();
  await sleep(random.whole(0, 4_000));
  system.relay.turn("well");
}

/** An email to fifty is split by one of the emailers, which is killed amid its publishes. */
async function killWhileSplitting({ system, load, random }: Context): Promise<void> {
  const nth = random.whole(1, RECIPIENTS_MAX - 1);
  const splitting = new Promise<EmailerName | undefined>((resolve) => {
    for (const name of EMAILERS) {
      let count = 0;
      system.link(`${name}-broker`).onPublish = (exchange) => {
        count += exchange === EMAILER_ENTRY ? 1 : 0;
        if (count === nth) resolve(name);
      };
    }
    setTimeout(resolve, SPLIT_MS, undefined);
  });
  load.sendTo(RECIPIENTS_MAX);
  const victim = await splitting;
  for (const name of EMAILERS) system.link(`${name}-broker`).onPublish = () => undefined;
  if (!victim) return;
  await system.kill(victim);
  await sleep(random.whole(0, 1_500));
  await system.restart(victim);
}

/** The operator is some seconds late. */
async function changePassword({ system, random }: Context): Promise<void> {
  const password = `password-${random.whole(1, 1_000_000)}`;
  system.changePassword(password);
  await sleep(random.whole(500, 5_000));
  system.tellPassword(password);
}

async function fillDisk({ system: { disk }, random }: Context): Promise<void> {
  disk?.fill();
  await sleep(random.whole(1_000, 10_000));
  disk?.free();
}
