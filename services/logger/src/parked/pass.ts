import { setTimeout as sleep } from "node:timers/promises";
import type { Publisher } from "@wellsent/amqp";
import { codeOf, settlesWithin, TransientError, type Log } from "@wellsent/runtime";
import {
  crashesOf,
  newId,
  PARKED_PASS_QUEUE,
  PARKED_QUEUE,
  OUTCOMES_EXCHANGE,
  QUERY_KEY,
  QUERY_TYPE,
  REPLY_QUEUE,
} from "@wellsent/contract";
import type { Action, Decide, Parked, Verdict } from "./decide.ts";

const PREFETCH = 100;
const LOOK_MS = 100;
/** What was counted and has not come for so long was taken by somebody else. */
const IDLE_MS = 3_000;
/** A message that a pass rejected is seen in one queue or the other at least every so many looks. */
const STEADY_LOOKS = 5;
const LOOKS_MAX = 100;
/** A query whose answer is late is asked again. */
const AGAIN_MS = 5_000;

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

/** Passes over all that is parked. */
export type ParkedPasses = ReturnType<typeof createPasses>;

/** Creates the passes over all that is parked; there is one at a time. */
export function createPasses({ publisher, decide, log }: PassOptions) {
  let progress: Progress | undefined;
  return {
    /** Of the pass that runs, or of the last one. */
    progress: (): Progress | undefined => progress,
    /** Begins a pass. @throws {TransientError} PASS_RUNNING, BROKER_AWAY */
    begin: (action: Action, selects: Selects): Progress => {
      if (progress?.state === "running") {
        throw new TransientError("PASS_RUNNING", "Another pass is running");
      }
      if (!publisher.channel) throw new TransientError("BROKER_AWAY", "The broker is away");
      const pass = new Pass(publisher.channel, action, selects, decide);
      void pass.run().then(async (): Promise<void> => {
        log.info("pass over parked mail ended", { ...pass.progress });
        // What a failed one has in its hands goes back.
        if (pass.progress.state === "failed") await publisher.release();
      });
      return (progress = pass.progress);
    },
  };
}

/** One pass: takes every message once, a few at a time, and rejects what it leaves, which so comes back in a second. */
class Pass {
  readonly progress: Progress;
  readonly #channel: Channel;
  readonly #selects: Selects;
  readonly #decide: Decide;
  readonly #lost = new AbortController();
  readonly #begun = new Map<string, Promise<Verdict>>();
  readonly #taken: Promise<void>[] = [];
  #lastAt = 0;

  constructor(channel: Channel, action: Action, selects: Selects, decide: Decide) {
    this.progress = { action, state: "running", of: 0, done: 0, settled: 0, left: 0 };
    this.#channel = channel;
    this.#selects = selects;
    this.#decide = decide;
  }

  async run(): Promise<void> {
    const lost = new TransientError("AMQP_CHANNEL_LOST", "The channel was lost");
    const lose = () => this.#lost.abort(lost);
    this.#channel.once("close", lose);
    try {
      await this.#goThrough();
      this.progress.state = "done";
    } catch (error) {
      this.#lost.abort(error);
      this.progress.state = "failed";
      this.progress.error = codeOf(this.#lost.signal.reason);
    } finally {
      this.#channel.off("close", lose);
    }
  }

  async #goThrough(): Promise<void> {
    await this.#channel.prefetch(PREFETCH);
    const take = (message: Message | null) => {
      if (message) this.#taken.push(this.#take(message, this.#taken.length < this.progress.of));
      else this.#lost.abort(new TransientError("AMQP_CHANNEL_LOST", "The queue was deleted"));
    };
    await this.#recorded();
    this.progress.of = await this.#count();
    this.#lastAt = performance.now();
    // n.b. a quorum queue lets several consume, whatever is asked of it: that this logger is the only one is the lock's doing.
    const { consumerTag } = await this.#channel.consume(PARKED_QUEUE, take);
    while (!(await this.#allCame())) await sleep(LOOK_MS);
    await this.#channel.cancel(consumerTag);
    await Promise.all(this.#taken);
    this.#lost.signal.throwIfAborted();
  }

  /** Resolves when the record has everything that was published so far: a query of our own was answered. */
  async #recorded(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const { consumerTag } = await this.#channel.consume(REPLY_QUEUE, resolve, { noAck: true });
    const query = Buffer.from(JSON.stringify({ delivery: `${newId()}.0.0` }));
    const properties = { type: QUERY_TYPE, replyTo: REPLY_QUEUE, persistent: true };
    do {
      this.#lost.signal.throwIfAborted();
      this.#channel.publish(OUTCOMES_EXCHANGE, QUERY_KEY, query, properties);
    } while (!(await settlesWithin(AGAIN_MS, promise, this.#lost.signal)));
    await this.#channel.cancel(consumerTag);
  }

  /** `ours`: it is one of those that were counted. */
  async #take(message: Message, ours: boolean): Promise<void> {
    try {
      const verdict = ours ? await this.#verdictOn(message) : "left";
      if (verdict === "left") this.#channel.reject(message, false);
      else this.#channel.ack(message);
      if (ours) this.progress[verdict] += 1;
    } catch (error) {
      this.#lost.abort(error);
    }
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
    if (this.#taken.length >= this.progress.of) return true;
    const idle = performance.now() - this.#lastAt > IDLE_MS;
    return idle && (await this.#waiting(PARKED_QUEUE)) === 0;
  }

  /** What an earlier pass rejected is to be counted too: it comes back in a second, and no queue counts what it is moving. */
  async #count(): Promise<number> {
    let count = -1;
    for (let looks = 0, steady = 0; looks < LOOKS_MAX && steady < STEADY_LOOKS; looks += 1) {
      await sleep(LOOK_MS);
      const away = await this.#waiting(PARKED_PASS_QUEUE);
      const now = await this.#waiting(PARKED_QUEUE);
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
    const doubtful = crashesOf({ headers: properties.headers ?? {}, brokerVersion }) > 0;
    return { body, properties, doubtful };
  }
}
