import type { ConfirmChannel, Message } from "amqplib";
import { setTimeout as sleep } from "node:timers/promises";
import type { Component } from "../lifecycle.ts";
import { codeOf, PublishRefused, PublishUnknown, type AppError } from "../errors.ts";
import { inTime } from "../in-time.ts";
import { describe } from "../logger.ts";
import type { Check } from "../metrics-server.ts";
import type { AmqpConnection } from "./connection.ts";
import type { AmqpMetrics } from "./metrics.ts";
import { Session, type SessionOptions } from "./session.ts";

/** A message as it is published; always persistent and mandatory. */
export interface Publication {
  exchange: string;
  routingKey: string;
  body: Buffer;
  messageId: string;
  /** Type with schema version; absent for foreign messages that are handed on as they came. */
  type?: string | undefined;
  contentType?: string;
  /** Of an answer: which query it answers. */
  correlationId?: string;
  /** Milliseconds since the epoch; AMQP keeps whole seconds. */
  timestamp?: number;
  headers?: Readonly<Record<string, unknown>>;
  /** Headers to add when it is published again and nobody knows whether the first one was stored. */
  ifAgain?: Readonly<Record<string, unknown>>;
}

/** Options of {@link Publisher}. */
export interface PublisherOptions extends Omit<SessionOptions, "name" | "connection"> {
  connection: AmqpConnection;
  /** Most messages that may wait for their confirm; nothing is buffered beyond. */
  windowSize: number;
  /** How long a confirm may take, in milliseconds. */
  timeoutMs: number;
  metrics: AmqpMetrics;
}

/** What passes in a second or two when one node of several goes. */
const CHANGING_NODES = new Set(["AMQP_DISCONNECTED", "AMQP_CHANNEL_LOST"]);

interface Unconfirmed {
  publication: Publication;
  returned: boolean;
  channelLost: boolean;
}

/** Publishes with confirms: resolved means stored by a majority of the queue's replicas, and routed. */
export class Publisher implements Component {
  readonly name = "publisher";
  readonly #options: PublisherOptions;
  readonly #session: Session;
  readonly #unconfirmed = new Set<Unconfirmed>();
  #everBuilt = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#session = new Session({ ...options, name: this.name }, (channel) => this.#watch(channel));
  }

  /** Unready until it could publish once; an outage after that is the connection's to name. */
  readonly check: Check = () =>
    this.#everBuilt ? undefined : { reason: "not publishing yet", blocks: true };

  /** The channel it publishes on, while there is one: what is consumed on it too dies with what is published. */
  get channel(): ConfirmChannel | undefined {
    return this.#session.channel;
  }

  /** Closes its channel, which returns what was consumed on it and not settled; a new one is built. */
  async renew(): Promise<void> {
    await this.#session.rebuild();
  }

  start(): void {
    this.#session.start();
  }

  /** Waits for the confirms that are still due, then closes the channel. */
  async stop(signal: AbortSignal): Promise<void> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
    while (this.#unconfirmed.size > 0 && !patience.aborted) await sleep(20);
    await this.#session.stop();
  }

  /** Why a publish would be refused at this moment. */
  refusal(): PublishRefused | undefined {
    if (!this.#session.channel)
      return new PublishRefused("AMQP_DISCONNECTED", "The broker is away");
    if (this.#options.connection.blocked)
      return new PublishRefused("AMQP_BLOCKED", "The broker takes no messages: alarm");
    if (this.#unconfirmed.size >= this.#options.windowSize)
      return new PublishRefused("AMQP_WINDOW_FULL", "Too many messages wait for their confirm");
    return undefined;
  }

  /**
   * Publishes once and waits for the confirm.
   * @throws {PublishRefused} AMQP_DISCONNECTED, AMQP_BLOCKED, AMQP_WINDOW_FULL, AMQP_UNROUTABLE: nothing was stored
   * @throws {PublishUnknown} AMQP_CONFIRM_TIMEOUT, AMQP_NACKED, AMQP_CHANNEL_LOST: nobody knows
   */
  async publish(publication: Publication): Promise<void> {
    const { publishes, publishSeconds } = this.#options.metrics;
    const stop = publishSeconds.startTimer();
    const error = await this.#attempt(publication);
    const exchange = publication.exchange || "(default)";
    publishes.inc({ exchange, result: error?.code ?? "confirmed" });
    if (error) throw error;
    stop();
  }

  /**
   * Publishes the same message until it is confirmed, through any outage.
   * @throws {Error} AbortError when the signal aborts first
   */
  async publishUntilConfirmed(publication: Publication, signal?: AbortSignal): Promise<void> {
    await this.#publishOn(publication, signal, () => undefined);
  }

  /**
   * Publishes the same message for so many milliseconds, while the broker is changing nodes; then, or when waiting will not
   * help, throws what happened. n.b. it is unknown as soon as one try is.
   * @throws {PublishRefused | PublishUnknown} as {@link publish}
   */
  async publishWithin(publication: Publication, patienceMs: number): Promise<void> {
    let worst: unknown;
    const judge = (error: unknown) => {
      if (!(worst instanceof PublishUnknown)) worst = error;
      if (!CHANGING_NODES.has(codeOf(error))) throw worst;
    };
    const patience = AbortSignal.timeout(patienceMs);
    await this.#publishOn(publication, patience, judge).catch((error: unknown) => {
      throw worst ?? error;
    });
  }

  async #publishOn(
    publication: Publication,
    signal: AbortSignal | undefined,
    judge: (error: unknown) => void,
  ): Promise<void> {
    const { ifAgain, ...first } = publication;
    const again = { ...first, headers: { ...first.headers, ...ifAgain } };
    let next: Publication = first;
    for (let delay = 50; ; delay = Math.min(delay * 2, 1_000)) {
      try {
        await this.publish(next);
        return;
      } catch (error) {
        if (error instanceof PublishUnknown) next = again;
        judge(error);
        this.#options.log.debug("publishing again", {
          exchange: first.exchange,
          ...describe(error),
        });
      }
      await sleep(delay, undefined, signal ? { signal } : {});
    }
  }

  async #attempt(publication: Publication): Promise<AppError | undefined> {
    const channel = this.#session.channel;
    const refusal = this.refusal();
    if (refusal || !channel) return refusal;
    const waiting: Unconfirmed = { publication, returned: false, channelLost: false };
    this.#track(waiting, true);
    const answer = send(channel, publication)
      .then((error) => verdict(waiting, error))
      .finally(() => this.#track(waiting, false));
    if (await inTime(this.#options.timeoutMs, answer)) return answer;
    return new PublishUnknown("AMQP_CONFIRM_TIMEOUT", "The broker did not confirm in time");
  }

  /** What has timed out still counts until it is settled: the window bounds memory, not patience. */
  #track(waiting: Unconfirmed, inFlight: boolean): void {
    if (inFlight) this.#unconfirmed.add(waiting);
    else this.#unconfirmed.delete(waiting);
    this.#options.metrics.publishesInFlight.set(this.#unconfirmed.size);
  }

  #watch(channel: ConfirmChannel): void {
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

function send(
  channel: ConfirmChannel,
  { exchange, routingKey, body, timestamp, headers, type, ...properties }: Publication,
): Promise<unknown> {
  return new Promise((resolve) => {
    try {
      channel.publish(
        exchange,
        routingKey,
        body,
        {
          contentType: "application/json",
          ...properties,
          ...(type !== undefined && { type }),
          ...(timestamp !== undefined && { timestamp: Math.floor(timestamp / 1_000) }),
          headers: { ...headers },
          persistent: true,
          mandatory: true,
        },
        resolve,
      );
    } catch {
      resolve(new PublishRefused("AMQP_DISCONNECTED", "The channel was closed"));
    }
  });
}

function verdict({ returned, channelLost }: Unconfirmed, error: unknown): AppError | undefined {
  if (error instanceof PublishRefused) return error;
  if (error && channelLost)
    return new PublishUnknown("AMQP_CHANNEL_LOST", "The channel was lost before the confirm");
  if (error) return new PublishUnknown("AMQP_NACKED", "The broker did not take the message");
  return returned
    ? new PublishRefused("AMQP_UNROUTABLE", "No queue is bound for the message")
    : undefined;
}
