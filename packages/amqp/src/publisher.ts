import type { ConfirmChannel, Message } from "amqplib";
import { setTimeout as sleep } from "node:timers/promises";
import {
  PublishRefused,
  PublishUnknown,
  type AppError,
  settlesWithin,
  type Check,
} from "@wellsent/runtime";
import type { AmqpMetrics } from "./metrics.ts";
import { send, type Publication } from "./publication.ts";
import { Session, type SessionOptions } from "./session.ts";

/** Options of {@link Publisher}. */
export interface PublisherOptions extends SessionOptions {
  /** Most messages that may wait for their confirm; nothing is buffered beyond. */
  windowSize: number;
  /** How long a confirm may take, in milliseconds; ten seconds by default. */
  timeoutMs?: number;
  metrics: AmqpMetrics;
}

const CONFIRM_MS = 10_000;
/** What passes in a second or two when one node of several goes. */
const CHANGING_NODES = new Set(["AMQP_DISCONNECTED", "AMQP_CHANNEL_LOST"]);

/** Whether waiting mends an error. */
type Mends = (error: AppError) => boolean;
const mendsAny: Mends = () => true;

interface Unconfirmed {
  publication: Publication;
  returned: boolean;
  channelLost: boolean;
}

/** Publishes with confirms: resolved means stored by a majority of the queue's replicas, and routed. */
export class Publisher extends Session<PublisherOptions> {
  readonly name = "publisher";
  readonly #unconfirmed = new Set<Unconfirmed>();
  readonly #persisting = new Set<Promise<void>>();
  readonly #timeoutMs = this.options.timeoutMs ?? CONFIRM_MS;
  #everBuilt = false;

  /** Unready until it could publish once; an outage after that is the connection's to name. */
  readonly check: Check = () =>
    this.#everBuilt ? undefined : { reason: "not publishing yet", blocks: true };

  /** Waits for the confirms that are still due, then closes the channel. */
  override async stop(signal: AbortSignal): Promise<void> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    while (this.#unconfirmed.size > 0 && !patience.aborted) await sleep(20);
    await super.stop(signal);
  }

  /** Why a publish would be refused at this moment. */
  refusal(): PublishRefused | undefined {
    if (!this.channel) return new PublishRefused("AMQP_DISCONNECTED", "The broker is away");
    if (this.options.connection.blocked)
      return new PublishRefused("AMQP_BLOCKED", "The broker takes no messages: alarm");
    if (this.#unconfirmed.size >= this.options.windowSize)
      return new PublishRefused("AMQP_WINDOW_FULL", "Too many messages wait for their confirm");
    return undefined;
  }

  /**
   * Publishes once and waits for the confirm.
   * @throws {PublishRefused} AMQP_DISCONNECTED, AMQP_BLOCKED, AMQP_WINDOW_FULL, AMQP_UNROUTABLE: nothing was stored
   * @throws {PublishUnknown} AMQP_CONFIRM_TIMEOUT, AMQP_NACKED, AMQP_CHANNEL_LOST: nobody knows
   */
  async publish(publication: Publication): Promise<void> {
    const error = await this.#count(publication);
    if (error) throw error;
  }

  /**
   * Publishes the same message until it is confirmed, through any outage; or until the signal aborts, or an error comes
   * that no waiting mends.
   * @throws {PublishRefused | PublishUnknown} as {@link publish}. n.b. it is unknown as soon as one try is
   */
  async publishUntilConfirmed(publication: Publication, signal?: AbortSignal, mends = mendsAny) {
    const publishing = this.#persist(publication, signal, mends);
    this.#persisting.add(publishing);
    await publishing.finally(() => this.#persisting.delete(publishing));
  }

  /** Resolves when all that is published at this moment until it is confirmed has been, or was given up. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#persisting);
  }

  async #persist({ ifAgain, ...first }: Publication, signal?: AbortSignal, mends = mendsAny) {
    let next: Publication = first;
    let worst: AppError | undefined;
    for (let delay = 50; ; delay = Math.min(delay * 2, 1_000)) {
      const error = await this.#count(next);
      if (!error) return;
      const told = worst instanceof PublishUnknown ? worst : error;
      if (!mends(error)) throw told;
      if (error instanceof PublishUnknown)
        next = { ...first, headers: { ...first.headers, ...ifAgain } };
      this.options.log.debug("publishing again", { exchange: first.exchange, code: error.code });
      await sleep(delay, undefined, { signal }).catch(() => Promise.reject(told));
      worst = told;
    }
  }

  /** The same for so many milliseconds, while the broker is changing nodes. */
  async publishWithin(publication: Publication, patienceMs: number): Promise<void> {
    const isChanging = ({ code }: AppError) => CHANGING_NODES.has(code);
    await this.publishUntilConfirmed(publication, AbortSignal.timeout(patienceMs), isChanging);
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
      .then((error) => verdict(waiting, error))
      .finally(() => this.#track(waiting, false));
    if (await settlesWithin(this.#timeoutMs, answer)) return answer;
    return new PublishUnknown("AMQP_CONFIRM_TIMEOUT", "The broker did not confirm in time");
  }

  /** What has timed out still counts until it is settled: the window bounds memory, not patience. */
  #track(waiting: Unconfirmed, inFlight: boolean): void {
    if (inFlight) this.#unconfirmed.add(waiting);
    else this.#unconfirmed.delete(waiting);
    this.options.metrics.publishesInFlight.set(this.#unconfirmed.size);
  }

  protected build(channel: ConfirmChannel): void {
    this.#everBuilt = true;
    // n.b. the broker returns a message before it confirms it, so the mark is there in time.
    channel.on("return", ({ fields, properties }: Message) => {
      for (const waiting of this.#unconfirmed) {
        const { messageId, exchange } = waiting.publication;
        if (messageId === properties.messageId && exchange === fields.exchange)
          waiting.returned = true;
      }
    });
    channel.prependListener("close", () => {
      for (const waiting of this.#unconfirmed) waiting.channelLost = true;
    });
  }
}

function verdict({ returned, channelLost }: Unconfirmed, error: unknown): AppError | undefined {
  if (error instanceof PublishRefused) return error;
  if (error && channelLost)
    return new PublishUnknown("AMQP_CHANNEL_LOST", "The channel was lost before the confirm");
  if (error) return new PublishUnknown("AMQP_NACKED", "The broker did not take the message");
  if (returned) return new PublishRefused("AMQP_UNROUTABLE", "No queue is bound for the message");
  return undefined;
}
