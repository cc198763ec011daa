const FRAME_HEADER_BYTES = 7;
const PROTOCOL_HEADER_BYTES = 8;
const METHOD_FRAME = 1;
/** Enough of a method for a consumer tag, a delivery tag, an exchange and a routing key of usual lengths. */
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

type Take = (channel: number, method: number, args: Buffer) => void;

/** Reads off the bytes of one AMQP connection what is in flight on it: deliveries not settled, publishes not confirmed. */
export class AmqpMeter {
  readonly fromClient: (chunk: Buffer) => void;
  readonly fromBroker: (chunk: Buffer) => void;
  readonly #unsettled = new Map<number, Set<number>>();
  readonly #unconfirmed = new Map<number, Set<number>>();
  readonly #published = new Map<number, number>();

  constructor() {
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
    if (method === CONFIRM_SELECT) this.#unconfirmed.set(channel, new Set());
    if (method === PUBLISH) this.#onPublish(channel);
    if (method === ACK || method === REJECT || method === NACK)
      settle(this.#unsettled.get(channel), args, method !== REJECT);
    if (method === CHANNEL_CLOSE || method === CHANNEL_CLOSE_OK) this.#forget(channel);
  }

  #onBroker(channel: number, method: number, args: Buffer): void {
    if (method === DELIVER && !isReply(args)) {
      const tags = this.#unsettled.get(channel) ?? new Set();
      this.#unsettled.set(channel, tags.add(tagAfterName(args)));
    }
    if (method === ACK || method === NACK) settle(this.#unconfirmed.get(channel), args, true);
    if (method === CHANNEL_CLOSE || method === CHANNEL_CLOSE_OK) this.#forget(channel);
  }

  #onPublish(channel: number): void {
    const number = (this.#published.get(channel) ?? 0) + 1;
    this.#published.set(channel, number);
    this.#unconfirmed.get(channel)?.add(number);
  }

  #forget(channel: number): void {
    for (const each of [this.#unsettled, this.#unconfirmed, this.#published]) each.delete(channel);
  }
}

/** Calls `take` with every method in a stream of frames; `skip`: bytes before the first frame. */
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
      if (bytes[at] === METHOD_FRAME) takeFrame(bytes.subarray(at, end), take);
      left = size;
    }
    rest = Buffer.from(bytes.subarray(at));
  };
}

function takeFrame(frame: Buffer, take: Take): void {
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
  const keyAt = exchangeAt + 1 + args.readUInt8(exchangeAt);
  return args.subarray(keyAt + 1).toString("latin1", 0, REPLY_QUEUE.length) === REPLY_QUEUE;
}

function settle(tags: Set<number> | undefined, args: Buffer, mayBeMultiple: boolean): void {
  const tag = Number(args.readBigUInt64BE(0));
  const multiple = mayBeMultiple && (args.readUInt8(8) & 1) === 1;
  if (!multiple) tags?.delete(tag);
  // Tags were added in rising order.
  else for (const each of tags ?? []) if (each <= tag || tag === 0) tags?.delete(each);
}

function sizeOf(tags: ReadonlyMap<number, ReadonlySet<number>>): number {
  return [...tags.values()].reduce((sum, { size }) => sum + size, 0);
}
