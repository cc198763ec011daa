const FRAME_HEADER_BYTES = 7;
const PROTOCOL_HEADER_BYTES = 8;
const METHOD_FRAME = 1;
const BODY_FRAME = 3;
/** Enough of a method for a consumer tag, a delivery tag, an exchange and a routing key; and of a body for its first field. */
const PEEK_BYTES = 400;
/** Deliveries from it are never acknowledged: the answers to queries. */
const REPLY_QUEUE = "amq.rabbitmq.reply-to";

/** AMQP 0-9-1 methods that say what is in flight, by class and method id. */
const PUBLISH = 60_040;
const DELIVER = 60_060;
const ACK = 60_080;
const REJECT = 60_090;
const NACK = 60_120;
const CHANNEL_CLOSE = 20_040;
const CHANNEL_CLOSE_OK = 20_041;
const CONFIRM_SELECT = 85_010;
/** Stands for a piece of a body. */
const BODY = 0;

/** The routing key of an outcome `sent`, and how its body begins. */
const SENT_KEY = "email.sent";
const FIRST_FIELD = /^\{"delivery":"([^"]+)"/;

/** A message that waits for its confirm. */
interface Unconfirmed {
  routingKey: string;
  /** Of its body. */
  beginning?: string;
}

type Take = (channel: number, method: number, args: Buffer) => void;

/**
 * Reads off the bytes of one AMQP connection what is in flight on it: deliveries not settled, publishes not confirmed; and
 * which deliveries' outcome `sent` the broker confirms.
 */
export class AmqpMeter {
  readonly fromClient: (chunk: Buffer) => void;
  readonly fromBroker: (chunk: Buffer) => void;
  readonly #unsettled = new Map<number, Map<number, true>>();
  readonly #unconfirmed = new Map<number, Map<number, Unconfirmed>>();
  readonly #published = new Map<number, number>();
  readonly #onSent: (delivery: string) => void;
  readonly #onPublished: (exchange: string) => void;

  /**
   * `onSent` is called with the delivery id when the broker confirms its outcome `sent`, `onPublished` with the exchange of
   * each message that the client publishes.
   */
  constructor(
    onSent: (delivery: string) => void = () => undefined,
    onPublished: (exchange: string) => void = () => undefined,
  ) {
    this.#onSent = onSent;
    this.#onPublished = onPublished;
    this.fromClient = scanner(PROTOCOL_HEADER_BYTES, (...method) => this.#onClient(...method));
    this.fromBroker = scanner(0, (...method) => this.#onBroker(...method));
  }

  /** Deliveries that the client has not settled. */
  get unsettled(): number {
    return sizeOf(this.#unsettled);
  }

  /** Messages of the client that the broker has not confirmed. */
  get unconfirmed(): number {
    return sizeOf(this.#unconfirmed);
  }

  #onClient(channel: number, method: number, args: Buffer): void {
    if (method === CONFIRM_SELECT) this.#unconfirmed.set(channel, new Map());
    if (method === PUBLISH) this.#onPublish(channel, args);
    if (method === BODY) this.#onBody(channel, args);
    if (method === ACK || method === REJECT || method === NACK) {
      settle(this.#unsettled.get(channel), args, method !== REJECT);
    }
    if (method === CHANNEL_CLOSE || method === CHANNEL_CLOSE_OK) this.#forget(channel);
  }

  #onBroker(channel: number, method: number, args: Buffer): void {
    if (method === DELIVER && !isReply(args)) {
      const tags = this.#unsettled.get(channel) ?? new Map<number, true>();
      this.#unsettled.set(channel, tags.set(tagAfterName(args), true));
    }
    if (method === ACK || method === NACK) this.#onConfirm(channel, method, args);
    if (method === CHANNEL_CLOSE || method === CHANNEL_CLOSE_OK) this.#forget(channel);
  }

  #onPublish(channel: number, args: Buffer): void {
    const number = (this.#published.get(channel) ?? 0) + 1;
    this.#published.set(channel, number);
    // After two bytes: the exchange and the routing key.
    const routingKey = nameAt(args, 3 + args.readUInt8(2));
    this.#unconfirmed.get(channel)?.set(number, { routingKey });
    this.#onPublished(nameAt(args, 2));
  }

  /** n.b. pieces of bodies do not mix on a channel, so this is of the message published last. */
  #onBody(channel: number, piece: Buffer): void {
    const last = this.#unconfirmed.get(channel)?.get(this.#published.get(channel) ?? 0);
    if (last?.routingKey === SENT_KEY) last.beginning ??= piece.toString("latin1");
  }

  #onConfirm(channel: number, method: number, args: Buffer): void {
    const settled = settle(this.#unconfirmed.get(channel), args, true);
    if (method === NACK) return;
    for (const { beginning = "" } of settled) {
      const delivery = FIRST_FIELD.exec(beginning)?.[1];
      if (delivery !== undefined) this.#onSent(delivery);
    }
  }

  #forget(channel: number): void {
    for (const each of [this.#unsettled, this.#unconfirmed, this.#published]) each.delete(channel);
  }
}

/** Calls `take` with every method and the beginning of every piece of a body in a stream of frames; `skip`: bytes before it. */
function scanner(skip: number, take: Take): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let left = skip;
  return (chunk) => {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const skipped = Math.min(left, bytes.length - at);
      at += skipped;
      left -= skipped;
      if (left > 0 || bytes.length - at < FRAME_HEADER_BYTES) break;
      const size = FRAME_HEADER_BYTES + bytes.readUInt32BE(at + 3) + 1;
      const end = at + Math.min(size, PEEK_BYTES);
      if (bytes.length < end) break;
      if (bytes[at] === METHOD_FRAME) takeMethod(bytes.subarray(at, end), take);
      if (bytes[at] === BODY_FRAME) {
        take(bytes.readUInt16BE(at + 1), BODY, bytes.subarray(at + FRAME_HEADER_BYTES, end));
      }
      left = size;
    }
    rest = Buffer.from(bytes.subarray(at));
  };
}

function takeMethod(frame: Buffer, take: Take): void {
  const method = frame.readUInt16BE(7) * 1_000 + frame.readUInt16BE(9);
  take(frame.readUInt16BE(1), method, frame.subarray(11));
}

/** A consumer tag stands before the delivery tag. */
function tagAfterName(args: Buffer): number {
  return Number(args.readBigUInt64BE(1 + args.readUInt8(0)));
}

/** After consumer tag, delivery tag and one bit: the exchange and the routing key. */
function isReply(args: Buffer): boolean {
  const exchangeAt = 1 + args.readUInt8(0) + 8 + 1;
  return nameAt(args, exchangeAt + 1 + args.readUInt8(exchangeAt)).startsWith(REPLY_QUEUE);
}

/** Its length stands before a name. */
function nameAt(args: Buffer, at: number): string {
  return args.toString("latin1", at + 1, at + 1 + args.readUInt8(at));
}

/** Takes out what a tag settles, and returns it. */
function settle<T>(tags: Map<number, T> | undefined, args: Buffer, mayBeMultiple: boolean): T[] {
  const tag = Number(args.readBigUInt64BE(0));
  const isMultiple = mayBeMultiple && (args.readUInt8(8) & 1) === 1;
  const isSettled = (each: number) => each <= tag || tag === 0;
  const numbers = isMultiple ? [...(tags?.keys() ?? [])].filter(isSettled) : [tag];
  return numbers.flatMap((number) => {
    const settled = tags?.get(number);
    tags?.delete(number);
    return settled ?? [];
  });
}

function sizeOf(tags: ReadonlyMap<number, ReadonlyMap<number, unknown>>): number {
  return [...tags.values()].reduce((sum, { size }) => sum + size, 0);
}
