import type { ConfirmChannel, Message } from "amqplib";
import { setTimeout as sleep } from "node:timers/promises";
import {
  PublishRefused,
  PublishUnknown,
  settlesWithin,
  type AppError,
  type Check,
} from "@wellsent/runtime";
import type { AmqpMetrics } from "./metrics.ts";
import { send, type Publication } from "./publication.ts";
import { Session, type SessionOptions } from "./session.ts";

export interface PublisherOptions extends SessionOptions {
  /** Most messages that may wait for their confirm. Further ones are refused, not buffered. */
  windowSize: number;
  /** How long a confirm may take. Milliseconds; the default is 10,000. */
  timeoutMs?: number;
  metrics: AmqpMetrics;
}

const CONFIRM_MS = 10_000;
/** Errors that clear up within seconds during a broker failover. */
const FAILOVER_CODES = new Set(["AMQP_DISCONNECTED", "AMQP_CHANNEL_LOST"]);

/** Whether to publish again after an error. */
type IsRetryable = (error: AppError) => boolean;
const anyIsRetryable: IsRetryable = () => true;

/** A published message that waits for its confirm. */
interface Unconfirmed {
  publication: Publication;
  returned: boolean;
  channelLost: boolean;
}

/** Publishes with confirms. A confirmed message was routed, and a majority of the queue's replicas has stored it. */
export class Publisher extends Session<PublisherOptions> {
  readonly name = "publisher";
  readonly #unconfirmed = new Set<Unconfirmed>();
  readonly #retrying = new Set<Promise<void>>();
  readonly #timeoutMs = this.options.timeoutMs ?? CONFIRM_MS;
  #everBuilt = false;

  /** Makes the service unready until the first channel is built. The connection reports later outages. */
  readonly check: Check = () =>
    this.#everBuilt ? undefined : { reason: "not publishing yet", blocks: true };

  /** Waits for the outstanding confirms, then closes the channel. */
  override async stop(signal: AbortSignal): Promise<void> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    while (this.#unconfirmed.size > 0 && !patience.aborted) await sleep(20);
    await super.stop(signal);
  }

  /** Returns the reason why a publish would be refused at this moment, or `undefined`. */
  refusal(): PublishRefused | undefined {
    if (!this.channel) return new PublishRefused("AMQP_DISCONNECTED", "The broker is down");
    if (this.options.connection.blocked) {
      return new PublishRefused("AMQP_BLOCKED", "The broker has a memory or disk alarm");
    }
    if (this.#unconfirmed.size >= this.options.windowSize) {
      return new PublishRefused("AMQP_WINDOW_FULL", "Too many messages wait for their confirms");
    }
    return undefined;
  }

  /**
   * Publishes once and waits for the confirm.
   * @throws {PublishRefused} AMQP_DISCONNECTED, AMQP_BLOCKED, AMQP_WINDOW_FULL, AMQP_UNROUTABLE: the message was not stored
   * @throws {PublishUnknown} AMQP_CONFIRM_TIMEOUT, AMQP_NACKED, AMQP_CHANNEL_LOST: the message may be stored
   */
  async publish(publication: Publication): Promise<void> {
    const error = await this.#count(publication);
    if (error) throw error;
  }

  /**
   * Publishes a message again and again until it is confirmed, the signal aborts, or an error is not retryable.
   * @throws {PublishRefused | PublishUnknown} as {@link publish}: PublishUnknown if the error of any attempt is one
   */
  async publishUntilConfirmed(
    publication: Publication,
    signal?: AbortSignal,
    isRetryable = anyIsRetryable,
  ): Promise<void> {
    const publishing = this.#retry(publication, signal, isRetryable);
    this.#retrying.add(publishing);
    await publishing.finally(() => this.#retrying.delete(publishing));
  }

  /** Resolves when every call of {@link publishUntilConfirmed} that is in flight now has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#retrying);
  }

  async #retry(
    { retryHeaders, ...first }: Publication,
    signal: AbortSignal | undefined,
    isRetryable: IsRetryable,
  ): Promise<void> {
    let next: Publication = first;
    let worst: AppError | undefined;
    for (let delay = 50; ; delay = Math.min(delay * 2, 1_000)) {
      const error = await this.#count(next);
      if (!error) return;
      if (!(worst instanceof PublishUnknown)) worst = error;
      const reported = worst;
      if (!isRetryable(error)) throw reported;
      if (error instanceof PublishUnknown) {
        next = { ...first, headers: { ...first.headers, ...retryHeaders } };
      }
      this.options.log.debug("publishing again", { exchange: first.exchange, code: error.code });
      await sleep(delay, undefined, { signal }).catch(() => Promise.reject(reported));
    }
  }

  /** Publishes as {@link publishUntilConfirmed}, for `patienceMs` milliseconds at most, and retries only during a failover. */
  async publishWithin(publication: Publication, patienceMs: number): Promise<void> {
    const isFailover = ({ code }: AppError) => FAILOVER_CODES.has(code);
    await this.publishUntilConfirmed(publication, AbortSignal.timeout(patienceMs), isFailover);
  }

  async #count(publication: Publication): Promise<AppError | undefined> {
    const { publishes, publishSeconds } = this.options.metrics;
    const stop = publishSeconds.startTimer();
    const error = await this.#attempt(publication);
    if (!error) stop();
    const exchange = publication.exchange || "(default)";
    publishes.inc({ exchange, result: error?.code ?? "confirmed" });
    return error;
  }

  async #attempt(publication: Publication): Promise<AppError | undefined> {
    const { channel } = this;
    const refusal = this.refusal();
    if (refusal || !channel) return refusal;
    const waiting: Unconfirmed = { publication, returned: false, channelLost: false };
    this.#track(waiting, true);
    const answer = send(channel, publication)
      .then((error) => errorOf(waiting, error))
      .finally(() => this.#track(waiting, false));
    if (await settlesWithin(this.#timeoutMs, answer)) return answer;
    return new PublishUnknown("AMQP_CONFIRM_TIMEOUT", "The broker did not confirm in time");
  }

  /** A message whose confirm is late still counts until it is settled, because the window bounds memory. */
  #track(waiting: Unconfirmed, inFlight: boolean): void {
    if (inFlight) this.#unconfirmed.add(waiting);
    else this.#unconfirmed.delete(waiting);
    this.options.metrics.publishesInFlight.set(this.#unconfirmed.size);
  }

  protected build(channel: ConfirmChannel): void {
    this.#everBuilt = true;
    // The broker returns a message before it confirms it, so `returned` is set before the confirm.
    channel.on("return", ({ fields, properties }: Message) => {
      for (const waiting of this.#unconfirmed) {
        const { messageId, exchange } = waiting.publication;
        if (messageId === properties.messageId && exchange === fields.exchange) {
          waiting.returned = true;
        }
      }
    });
    channel.prependListener("close", () => {
      for (const waiting of this.#unconfirmed) {
        waiting.channelLost = true;
      }
    });
  }
}

function errorOf({ returned, channelLost }: Unconfirmed, error: unknown): AppError | undefined {
  if (error instanceof PublishRefused) return error;
  if (error && channelLost) {
    return new PublishUnknown("AMQP_CHANNEL_LOST", "The channel was lost before the confirm");
  }
  if (error) return new PublishUnknown("AMQP_NACKED", "The broker did not store the message");
  if (returned) return new PublishRefused("AMQP_UNROUTABLE", "No queue is bound for the message");
  return undefined;
}
