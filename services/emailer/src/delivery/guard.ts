import { once, EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Session, type ConfirmChannel, type SessionOptions } from "@wellsent/amqp";
import { answerSchema, newEmailId, readAs, type Answer, type Query } from "@wellsent/contract";
import { OUTCOMES_EXCHANGE, QUERY_KEY, QUERY_TYPE, REPLY_QUEUE } from "@wellsent/contract";

/** Neither a query nor its answer is confirmed: one that is late is asked again, in milliseconds. */
const AGAIN_MS = 5_000;

/** Options of {@link Guard}. */
export interface GuardOptions extends SessionOptions {
  /** How long an answer may take, in milliseconds. */
  waitMs: number;
  /** Aborts when nobody is to wait any longer. */
  ending: AbortSignal;
}

/**
 * Asks the logger what became of a delivery. The query stands in the logger's queue behind every outcome published before
 * it, and is answered when those are committed: the answer is never older than the question.
 */
export class Guard extends Session<GuardOptions> {
  readonly name = "guard";
  /** The queries without an answer, by their id. */
  readonly #asked = new Map<string, Query>();
  /** Emits each answer under its query's id. */
  readonly #answers = new EventEmitter();
  #channel: ConfirmChannel | undefined;

  /**
   * What the record knows of a delivery, in so many milliseconds; undefined when there was no answer in time after that.
   * @throws {Error} AbortError when the delivery's channel is lost, or the emailer stops
   */
  async ask(query: Query, signal: AbortSignal, afterMs = 0): Promise<Answer | undefined> {
    const given = AbortSignal.any([signal, this.options.ending]);
    await sleep(afterMs, undefined, { signal: given });
    const patience = AbortSignal.any([given, AbortSignal.timeout(this.options.waitMs)]);
    const id = newEmailId();
    const answer = once(this.#answers, id, { signal: patience }).catch(() => []);
    this.#asked.set(id, query);
    this.#publish(id, query);
    const again = setInterval(() => this.#publish(id, query), AGAIN_MS);
    const [known] = (await answer) as [Answer?];
    clearInterval(again);
    this.#asked.delete(id);
    if (!known) given.throwIfAborted();
    return known;
  }

  /** n.b. an answer comes only to the channel that asked, so what a lost one asked is asked again. */
  protected async build(channel: ConfirmChannel): Promise<void> {
    const take: Parameters<typeof channel.consume>[1] = (message) => {
      const answer = message && readAs(answerSchema, message.content);
      if (answer) this.#answers.emit(String(message.properties.correlationId), answer);
    };
    await channel.consume(REPLY_QUEUE, take, { noAck: true });
    this.#channel = channel;
    for (const [id, query] of this.#asked) this.#publish(id, query);
  }

  #publish(id: string, query: Query): void {
    const body = Buffer.from(JSON.stringify({ ...query, asker: id }));
    const properties = { type: QUERY_TYPE, messageId: id, correlationId: id, replyTo: REPLY_QUEUE };
    const options = { ...properties, contentType: "application/json", persistent: true };
    try {
      this.#channel?.publish(OUTCOMES_EXCHANGE, QUERY_KEY, body, options);
    } catch {
      // The channel closed a moment ago.
    }
  }
}
