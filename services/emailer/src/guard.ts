import { setTimeout as sleep } from "node:timers/promises";
import {
  Session,
  type Component,
  type ConfirmChannel,
  type SessionOptions,
} from "@posthorn/chassis";
import {
  answerSchema,
  newEmailId,
  OUTCOMES_EXCHANGE,
  QUERY_KEY,
  QUERY_TYPE,
  readAs,
  REPLY_QUEUE,
  type Answer,
  type Query,
} from "@posthorn/contract";

const AGAIN_MS = 200;

/** Options of {@link Guard}. */
export interface GuardOptions extends Omit<SessionOptions, "name"> {
  /** How long an answer may take, in milliseconds. */
  waitMs: number;
}

/**
 * Asks the logger what became of a delivery. The query stands in the logger's queue behind every outcome published before
 * it, and is answered when those are committed: the answer is never older than the question.
 */
export class Guard implements Component {
  readonly name = "guard";
  readonly #waitMs: number;
  readonly #session: Session;
  readonly #ending = new AbortController();
  readonly #asked = new Map<string, (answer: Answer | undefined) => void>();

  constructor({ waitMs, ...options }: GuardOptions) {
    this.#waitMs = waitMs;
    this.#session = new Session({ ...options, name: this.name }, (channel) =>
      this.#listen(channel),
    );
  }

  start(): void {
    this.#session.start();
  }

  async stop(): Promise<void> {
    await this.#session.stop();
  }

  /** Lets nobody wait any longer. */
  release(): void {
    this.#ending.abort();
  }

  /**
   * What the record knows of a delivery; undefined when there was no answer in time.
   * @throws {Error} AbortError when the delivery's channel is lost, or the emailer stops
   */
  async ask(about: Query, signal: AbortSignal): Promise<Answer | undefined> {
    const given = AbortSignal.any([signal, this.#ending.signal]);
    const patience = AbortSignal.any([given, AbortSignal.timeout(this.#waitMs)]);
    const query = { ...about, asker: newEmailId() };
    while (!patience.aborted) {
      const answer = await this.#askOnce(query, patience);
      if (answer) return answer;
      await sleep(AGAIN_MS, undefined, { signal: patience }).catch(() => undefined);
    }
    given.throwIfAborted();
    return undefined;
  }

  /** n.b. an answer comes only to the channel that asked, so a lost one is an answer lost. */
  async #askOnce(query: Query, patience: AbortSignal): Promise<Answer | undefined> {
    const channel = this.#session.channel;
    if (!channel) return undefined;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    const giveUp = () => resolve(undefined);
    const id = newEmailId();
    this.#asked.set(id, resolve);
    patience.addEventListener("abort", giveUp);
    channel.once("close", giveUp);
    try {
      publish(channel, id, query);
      return await promise;
    } catch {
      return undefined; // The channel closed a moment ago.
    } finally {
      this.#asked.delete(id);
      patience.removeEventListener("abort", giveUp);
      channel.off("close", giveUp);
    }
  }

  async #listen(channel: ConfirmChannel): Promise<void> {
    // Every query that waits listens for the channel's end.
    channel.setMaxListeners(0);
    const take: Parameters<typeof channel.consume>[1] = (message) => {
      const answer = message && readAs(answerSchema, message.content);
      if (answer) this.#asked.get(String(message.properties.correlationId))?.(answer);
    };
    await channel.consume(REPLY_QUEUE, take, { noAck: true });
  }
}

function publish(channel: ConfirmChannel, id: string, query: Query): void {
  const body = Buffer.from(JSON.stringify(query));
  channel.publish(OUTCOMES_EXCHANGE, QUERY_KEY, body, {
    type: QUERY_TYPE,
    messageId: id,
    correlationId: id,
    replyTo: REPLY_QUEUE,
    contentType: "application/json",
    persistent: true,
  });
}
