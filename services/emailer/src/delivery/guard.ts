import { setTimeout as sleep } from "node:timers/promises";
import { Session, type ConfirmChannel, type SessionOptions } from "@wellsent/amqp";
import {
  answerSchema,
  LEASE_DELIVERIES_MAX,
  LEASE_KEY,
  LEASE_TYPE,
  newId,
  OUTCOMES_EXCHANGE,
  QUERY_KEY,
  QUERY_TYPE,
  readAs,
  REPLY_QUEUE,
  type Answer,
  type LeaseNotice,
  type Query,
} from "@wellsent/contract";
import type { Transfers } from "./transfers.ts";

/** How often leases are renewed, in milliseconds: several times within the time that one is valid. */
const RENEW_MS = 1_000;
/** A question is asked again after this time, in milliseconds, because neither it nor its answer is confirmed. */
const AGAIN_MS = 5_000;
/** Without any answer for this time, in milliseconds, the logger is taken to be away. */
const SILENT_MS = 5_000;

/** What {@link Guard} needs. */
export interface GuardOptions extends SessionOptions {
  /** Longest time to wait for an answer about a copy in doubt, in milliseconds. */
  waitMs: number;
  /** Aborts when the emailer stops, and no answer is waited for any longer. */
  ending: AbortSignal;
  /** The deliveries whose leases are renewed. */
  transfers: Transfers;
}

/** How a question is asked. */
export interface AskOptions {
  /** Whether the lease is wanted. */
  acquire: boolean;
  /** Whether an answer is worth waiting for, though the logger is known to be away. */
  isPatient: boolean;
  /** Of a foreign message that may have been adopted before. */
  digest?: string;
  /** Aborts when the message's channel is lost. */
  signal: AbortSignal;
}

interface Question {
  query: Query;
  isPatient: boolean;
  /** By the monotonic clock, in milliseconds. */
  askedAt: number;
  resolve: (answer: Answer | undefined) => void;
}

/**
 * Asks the logger what is recorded of a delivery, and holds this emailer's leases. A query is queued at the logger behind
 * every outcome published before it, and answered when those are committed: an answer is never older than its question.
 *
 * While the logger is away, it is asked in the background, and only copies in doubt wait for it:
 *
 * | logger  | event                                        | then    | questions that are not patient |
 * | ------- | -------------------------------------------- | ------- | ------------------------------ |
 * | answers | no answer to anything for {@link SILENT_MS}  | silent  | end without an answer          |
 * | silent  | any answer                                   | answers | wait for theirs                |
 */
export class Guard extends Session<GuardOptions> {
  readonly name = "guard";
  /** This emailer, in queries and leases. */
  readonly #holder = newId();
  /** The questions without an answer, by the id of their query. */
  readonly #questions = new Map<string, Question>();
  #channel: ConfirmChannel | undefined;
  #answeredAt = performance.now();
  /** The last question without an answer, asked again in the background; undefined while the logger answers. */
  #unanswered: Query | undefined;
  #timers: NodeJS.Timeout[] = [];

  override start(): void {
    this.options.transfers.onLost(() => this.#renew(0));
    this.#timers = [
      setInterval(() => this.#renew(), RENEW_MS),
      setInterval(() => this.#askAgain(), AGAIN_MS),
    ];
    super.start();
  }

  override async stop(signal?: AbortSignal): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await super.stop(signal);
  }

  /**
   * Asks about a delivery. Resolves to nothing when there is no answer in time.
   * @throws {Error} AbortError when the message's channel is lost, or the emailer stops
   */
  async ask(
    delivery: string,
    { acquire, isPatient, digest, signal }: AskOptions,
  ): Promise<Answer | undefined> {
    if (!isPatient && this.#unanswered) return undefined;
    const given = AbortSignal.any([signal, this.options.ending]);
    given.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    const end = () => resolve(undefined);
    const query = { delivery, holder: this.#holder, acquire, ...(digest && { digest }) };
    const id = newId();
    const question = { query, isPatient, askedAt: performance.now(), resolve };
    this.#questions.set(id, question);
    this.#publishQuery(id, query);
    const timers = [
      setTimeout(end, this.#patienceOf(isPatient)),
      setTimeout(() => this.#checkSilence(question), SILENT_MS),
    ];
    given.addEventListener("abort", end, { once: true });
    const answer = await promise;
    given.removeEventListener("abort", end);
    for (const timer of timers) clearTimeout(timer);
    this.#questions.delete(id);
    given.throwIfAborted();
    return answer;
  }

  /** Waits, in milliseconds. @throws {Error} AbortError when the message's channel is lost, or the emailer stops */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, this.options.ending]) });
  }

  /** Gives up the lease of a delivery that no relay was given. */
  releaseLease(delivery: string): void {
    this.#notify({ holder: this.#holder, held: [], released: [delivery] });
  }

  /** An answer comes only on the channel that asked, so the questions of a lost channel are asked again. */
  protected async build(channel: ConfirmChannel): Promise<void> {
    const take: Parameters<typeof channel.consume>[1] = (message) => {
      const answer = message && readAs(answerSchema, message.content);
      if (answer) this.#take(String(message.properties.correlationId), answer);
    };
    await channel.consume(REPLY_QUEUE, take, { noAck: true });
    this.#channel = channel;
    this.#renew(0);
    for (const [id, { query }] of this.#questions) this.#publishQuery(id, query);
  }

  #take(id: string, answer: Answer): void {
    this.#answeredAt = performance.now();
    this.#unanswered = undefined;
    this.#questions.get(id)?.resolve(answer);
  }

  /** A copy in doubt waits once as long as the logger may be away, and then for the time that a live emailer needs to answer. */
  #patienceOf(isPatient: boolean): number {
    const { waitMs } = this.options;
    return isPatient && this.#unanswered ? Math.min(waitMs, SILENT_MS) : waitMs;
  }

  #checkSilence({ query, askedAt }: Question): void {
    if (this.#answeredAt > askedAt) return;
    this.#unanswered = query;
    for (const { isPatient, resolve } of this.#questions.values()) {
      if (!isPatient) resolve(undefined);
    }
  }

  #askAgain(): void {
    for (const [id, { query, askedAt }] of this.#questions) {
      if (performance.now() - askedAt >= AGAIN_MS) this.#publishQuery(id, query);
    }
    if (this.#unanswered) {
      this.#publishQuery(newId(), { ...this.#unanswered, acquire: false });
    }
  }

  #renew(leastMs?: number): void {
    const held = this.options.transfers.inFlight(leastMs);
    for (let from = 0; from < held.length; from += LEASE_DELIVERIES_MAX) {
      const part = held.slice(from, from + LEASE_DELIVERIES_MAX);
      this.#notify({ holder: this.#holder, held: part, released: [] });
    }
  }

  #notify(notice: LeaseNotice): void {
    const messageId = newId();
    this.#publish(LEASE_KEY, notice, { type: LEASE_TYPE, messageId, persistent: false });
  }

  #publishQuery(id: string, query: Query): void {
    const properties = { type: QUERY_TYPE, messageId: id, correlationId: id, replyTo: REPLY_QUEUE };
    this.#publish(
      QUERY_KEY,
      { ...query, askedAt: Date.now() },
      { ...properties, persistent: true },
    );
  }

  #publish(key: string, body: object, properties: object): void {
    const options = { contentType: "application/json", ...properties };
    try {
      this.#channel?.publish(OUTCOMES_EXCHANGE, key, Buffer.from(JSON.stringify(body)), options);
    } catch {
      // The channel closed a moment ago; the next one begins with the renewals and the open questions.
    }
  }
}
