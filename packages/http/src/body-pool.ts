/** Bodies that arrive or are read more slowly than this may have to give way to others. Milliseconds. */
const GRACE_MS = 2_000;

/** A body that holds memory of a {@link BodyPool}. */
export interface PooledBody {
  /** Whether it waits for its client: it is not received whole, or its response is not read. */
  waitsForClient: () => boolean;
  /** Ends the request, so that its memory is free. */
  evict: () => void;
}

/**
 * The memory for the bodies of requests in flight. A body is charged for what it holds, and not for what it announces.
 * When the pool is full, bodies that have waited for their client for two seconds are evicted, the oldest first, so
 * that slow clients cannot keep others out.
 */
export class BodyPool {
  readonly #limitBytes: number;
  readonly #graceMs: number;
  readonly #held = new Map<PooledBody, { bytes: number; since: number }>();
  #bytes = 0;

  constructor(limitBytes: number, graceMs = GRACE_MS) {
    this.#limitBytes = limitBytes;
    this.#graceMs = graceMs;
  }

  /** The bytes that are charged at this moment. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Charges a body with `bytes` in all. Returns false where there is no room for them. */
  resize(body: PooledBody, bytes: number): boolean {
    const { bytes: before, since } = this.#held.get(body) ?? { bytes: 0, since: performance.now() };
    const more = bytes - before;
    if (!this.#fits(more)) this.#evictFor(more, body);
    if (!this.#fits(more)) return false;
    this.#held.set(body, { bytes, since });
    this.#bytes += more;
    return true;
  }

  /** Gives a body's memory back. Harmless for a body that holds none. */
  release(body: PooledBody): void {
    this.#bytes -= this.#held.get(body)?.bytes ?? 0;
    this.#held.delete(body);
  }

  #fits(more: number): boolean {
    return this.#bytes + more <= this.#limitBytes;
  }

  #evictFor(more: number, newcomer: PooledBody): void {
    const newest = performance.now() - this.#graceMs;
    for (const [body, { since }] of this.#held) {
      if (this.#fits(more) || since > newest) return;
      if (body === newcomer || !body.waitsForClient()) continue;
      this.release(body);
      body.evict();
    }
  }
}
