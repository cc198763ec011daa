import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, TransientError, type Log, type Publisher } from "@posthorn/chassis";
import { crashesOf, PARKED_PASS_QUEUE, PARKED_QUEUE } from "@posthorn/contract";
import type { Action, Decide, Parked, Verdict } from "./parked-decision.ts";
import { recorded } from "./recorded.ts";

const PREFETCH = 100;
const LOOK_MS = 100;
/** What was counted and has not come for so long was taken by somebody else. */
const IDLE_MS = 3_000;
/** A message that a pass rejected is seen in one queue or the other at least every so many looks. */
const STEADY_LOOKS = 5;
const LOOKS_MAX = 100;

/** How far a pass has come; the numbers are messages, by what became of them. */
export interface Progress extends Record<Verdict, number> {
  action: Action;
  state: "running" | "done" | "failed";
  /** How many there were when it began: it goes over these, once each, and over none that came later. */
  of: number;
  /** Why it failed. What it has not done rests where it was. */
  error?: string;
}

type Channel = NonNullable<Publisher["channel"]>;
type Message = NonNullable<Parameters<Parameters<Channel["consume"]>[1]>[0]>;
type Selects = (delivery: string) => boolean;

/** Options of {@link ParkedPasses}. */
export interface PassOptions {
  /** Of passes alone: what a pass takes and what it publishes share a channel, and so an end. */
  publisher: Pick<Publisher, "channel" | "release">;
  decide: Decide;
  log: Log;
}

/** Passes over all that is parked, one at a time. */
export class ParkedPasses {
  readonly #options: PassOptions;
  #latest: Pass | undefined;

  constructor(options: PassOptions) {
    this.#options = options;
  }

  /** The pass that runs, or the last one. */
  get progress(): Progress | undefined {
    return this.#latest?.progress;
  }

  /** Begins a pass. @throws {TransientError} PASS_RUNNING, BROKER_AWAY */
  begin(action: Action, selects: Selects): Progress {
    const { publisher, decide, log } = this.#options;
    if (this.progress?.state === "running")
      throw new TransientError("PASS_RUNNING", "Another pass is running");
    if (!publisher.channel) throw new TransientError("BROKER_AWAY", "The broker is away");
    const pass = new Pass(publisher.channel, action, selects, decide);
    this.#latest = pass;
    void pass.run().then(async (): Promise<void> => {
      log.info("pass over parked mail ended", { ...pass.progress });
      // What a failed one has in its hands goes back.
      if (pass.progress.state === "failed") await publisher.release();
    });
    return pass.progress;
  }
}

/** One pass: takes every message once, a few at a time, and rejects what it leaves, which so comes back in a second. */
class Pass {
  readonly progress: Progress;
  readonly #channel: Channel;
  readonly #selects: Selects;
  readonly #decide: Decide;
  readonly #lost = new AbortController();
  readonly #counted = Promise.withResolvers<undefined>();
  readonly #begun = new Map<string, Promise<Verdict>>();
  #taken = 0;
  #inHand = 0;
  #lastAt = performance.now();

  constructor(channel: Channel, action: Action, selects: Selects, decide: Decide) {
    this.progress = { action, state: "running", of: 0, done: 0, settled: 0, left: 0 };
    this.#channel = channel;
    this.#selects = selects;
    this.#decide = decide;
  }

  async run(): Promise<void> {
    const lose = () => this.#fail(new TransientError("AMQP_CHANNEL_LOST", "The channel was lost"));
    this.#channel.once("close", lose);
    try {
      await this.#goThrough();
      this.progress.state = "done";
    } catch (error) {
      this.#fail(error);
      this.progress.state = "failed";
      this.progress.error = codeOf(this.#lost.signal.reason);
    } finally {
      this.#channel.off("close", lose);
    }
  }

  async #goThrough(): Promise<void> {
    const channel = this.#channel;
    await channel.prefetch(PREFETCH);
    const take = (message: Message | null) => {
      if (message) void this.#take(message, (this.#taken += 1));
      else this.#fail(new TransientError("AMQP_CHANNEL_LOST", "The queue was deleted"));
    };
    // n.b. a quorum queue lets several consume, whatever is asked of it: that this logger is the only one is the lock's doing.
    const { consumerTag } = await channel.consume(PARKED_QUEUE, take);
    await recorded(channel, this.#lost.signal);
    this.progress.of = await this.#count();
    this.#lastAt = performance.now();
    this.#counted.resolve(undefined);
    while (!(await this.#allCame())) await sleep(LOOK_MS);
    await channel.cancel(consumerTag);
    while (this.#inHand > 0) await sleep(LOOK_MS);
    this.#lost.signal.throwIfAborted();
  }

  async #take(message: Message, number: number): Promise<void> {
    this.#inHand += 1;
    try {
      await this.#counted.promise;
      const ours = number <= this.progress.of;
      const verdict = ours ? await this.#verdictOn(message) : "left";
      if (verdict === "left") this.#channel.reject(message, false);
      else this.#channel.ack(message);
      if (ours) this.progress[verdict] += 1;
    } catch (error) {
      this.#fail(error);
    }
    this.#inHand -= 1;
    this.#lastAt = performance.now();
  }

  async #verdictOn(message: Message): Promise<Verdict> {
    const id = String(message.properties.messageId);
    if (!this.#selects(id)) return "left";
    const first = this.#begun.get(id);
    // Its twin, left by an emailer that died while it parked.
    if (first) return (await first) === "left" ? "left" : "settled";
    const deciding = this.#decide(this.progress.action, this.#parked(message), this.#lost.signal);
    this.#begun.set(id, deciding);
    return deciding;
  }

  async #allCame(): Promise<boolean> {
    this.#lost.signal.throwIfAborted();
    if (this.#taken >= this.progress.of) return true;
    const idle = this.#inHand === 0 && performance.now() - this.#lastAt > IDLE_MS;
    return idle && (await this.#waiting(PARKED_QUEUE)) === 0;
  }

  /** What an earlier pass rejected is to be counted too: it comes back in a second, and no queue counts what it is moving. */
  async #count(): Promise<number> {
    let count = -1;
    for (let looks = 0, steady = 0; looks < LOOKS_MAX && steady < STEADY_LOOKS; looks += 1) {
      await sleep(LOOK_MS);
      const away = await this.#waiting(PARKED_PASS_QUEUE);
      const now = (await this.#waiting(PARKED_QUEUE)) + this.#inHand;
      steady = away === 0 && now === count ? steady + 1 : 0;
      count = now;
    }
    return count;
  }

  async #waiting(queue: string): Promise<number> {
    this.#lost.signal.throwIfAborted();
    return (await this.#channel.checkQueue(queue)).messageCount;
  }

  #parked({ content: body, properties }: Message): Parked {
    const { version: brokerVersion } = this.#channel.connection.serverProperties;
    const headers: Record<string, unknown> = properties.headers ?? {};
    const doubtful = crashesOf({ headers, brokerVersion }) > 0;
    return { body, properties, doubtful };
  }

  #fail(reason: unknown): void {
    this.#lost.abort(reason);
    this.#counted.resolve(undefined);
  }
}
