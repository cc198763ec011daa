import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, TransientError, type Log, type Publisher } from "@posthorn/chassis";
import {
  newEmailId,
  OUTCOMES_EXCHANGE,
  PARKED_PASS_QUEUE,
  PARKED_QUEUE,
  QUERY_KEY,
  QUERY_TYPE,
  rejections,
  REPLY_QUEUE,
} from "@posthorn/contract";
import type { Action, Decide, Verdict } from "./parked-decision.ts";

const PREFETCH = 100;
const LOOK_MS = 500;
const IDLE_MS = 1_500;

/** How far a pass has come; the numbers are messages, by what became of them. */
export interface Progress extends Record<Verdict, number> {
  action: Action;
  state: "running" | "done" | "failed";
  /** Why it failed. What it has not done rests where it was. */
  error?: string;
}

type Channel = NonNullable<Publisher["channel"]>;
type Message = NonNullable<Parameters<Parameters<Channel["consume"]>[1]>[0]>;
type Selects = (delivery: string) => boolean;

/** Options of {@link ParkedPasses}. */
export interface PassOptions {
  /** Of passes alone: what a pass takes and what it publishes share a channel, and so an end. */
  publisher: Pick<Publisher, "channel" | "renew">;
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
      if (pass.progress.state === "failed") await publisher.renew();
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
  readonly #ready = Promise.withResolvers<undefined>();
  readonly #ended = Promise.withResolvers<undefined>();
  readonly #returning = new Set<string>();
  readonly #begun = new Map<string, Promise<Verdict>>();
  #inHand = 0;
  #lastAt = performance.now();
  #over = false;

  constructor(channel: Channel, action: Action, selects: Selects, decide: Decide) {
    this.progress = { action, state: "running", done: 0, settled: 0, left: 0 };
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
      this.progress.state = "failed";
      this.progress.error = codeOf(error);
    } finally {
      this.#channel.off("close", lose);
    }
  }

  /** n.b. once its consumer is the only one, all that an earlier pass published stands in the queues. */
  async #goThrough(): Promise<void> {
    const channel = this.#channel;
    await channel.prefetch(PREFETCH);
    const take = (message: Message | null) => {
      if (message) void this.#take(message);
      else this.#fail(new TransientError("AMQP_CHANNEL_LOST", "The queue was deleted"));
    };
    const { consumerTag } = await channel.consume(PARKED_QUEUE, take, { exclusive: true });
    await Promise.race([recorded(channel), this.#ended.promise]);
    this.#ready.resolve(undefined);
    void this.#endWhenEmpty();
    await this.#ended.promise;
    await channel.cancel(consumerTag);
    while (this.#inHand > 0 && !this.#lost.signal.aborted) await sleep(LOOK_MS / 10);
  }

  async #take(message: Message): Promise<void> {
    this.#inHand += 1;
    try {
      await this.#ready.promise;
      this.#settle(message, await this.#verdictOn(message));
    } catch (error) {
      this.#fail(error);
    }
    this.#inHand -= 1;
    this.#lastAt = performance.now();
  }

  async #verdictOn(message: Message): Promise<Verdict> {
    const id = String(message.properties.messageId);
    // One that this pass has rejected: all others that were there have come by.
    if (this.#returning.has(keyOf(message))) this.#end();
    if (this.#over || !this.#selects(id)) return "left";
    const first = this.#begun.get(id);
    // Its twin, left by an emailer that died while it parked.
    if (first) return (await first) === "left" ? "left" : "settled";
    const { content: body, properties } = message;
    const deciding = this.#decide(this.progress.action, { body, properties }, this.#lost.signal);
    this.#begun.set(id, deciding);
    return deciding;
  }

  #settle(message: Message, verdict: Verdict): void {
    if (!this.#over) this.progress[verdict] += 1;
    if (verdict === "left") {
      this.#returning.add(keyOf(message, 1));
      this.#channel.reject(message, false);
    } else this.#channel.ack(message);
  }

  async #endWhenEmpty(): Promise<void> {
    while (!this.#over) {
      await sleep(LOOK_MS);
      const idle = this.#inHand === 0 && performance.now() - this.#lastAt > IDLE_MS;
      if (idle && (await this.#isEmpty())) this.#end();
    }
  }

  async #isEmpty(): Promise<boolean> {
    const queues = [PARKED_QUEUE, PARKED_PASS_QUEUE].map((name) => this.#channel.checkQueue(name));
    const counts = await Promise.all(queues).catch(() => []);
    return counts.length > 0 && counts.every(({ messageCount }) => messageCount === 0);
  }

  #end(): void {
    this.#over = true;
    this.#ended.resolve(undefined);
  }

  #fail(reason: unknown): void {
    this.#over = true;
    this.#lost.abort();
    this.#ended.reject(reason);
  }
}

/** A message by its delivery and the times it was rejected here, by so many more. */
function keyOf({ properties }: Message, more = 0): string {
  const times = rejections(properties.headers ?? {}, PARKED_QUEUE) + more;
  return `${String(properties.messageId)} ${times}`;
}

/** Resolves when the record has everything that was published so far: a query of our own was answered. */
async function recorded(channel: Channel): Promise<void> {
  const answered = Promise.withResolvers<undefined>();
  const answer = () => answered.resolve(undefined);
  const { consumerTag } = await channel.consume(REPLY_QUEUE, answer, { noAck: true });
  const query = Buffer.from(JSON.stringify({ delivery: `${newEmailId()}.0.0` }));
  const properties = { type: QUERY_TYPE, replyTo: REPLY_QUEUE, persistent: true };
  channel.publish(OUTCOMES_EXCHANGE, QUERY_KEY, query, properties);
  await answered.promise;
  await channel.cancel(consumerTag);
}
