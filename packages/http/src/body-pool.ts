/** A body that waits for its client longer than this may be evicted. Milliseconds. */
const GRACE_MS = 2_000;

/** A body whose memory is charged to a {@link BodyPool}. */
export interface PooledBody {
  /** Whether the body waits for its client: it is not complete, or the client has not read the response. */
  waitsForClient: () => boolean;
  /** Ends the request, which releases its memory. */
  evict: () => void;
}

/**
 * Limits the memory of the bodies of requests in flight. A body is charged with its allocated bytes, not with its
 * `Content-Length`. When the pool is full, bodies that have waited for their client for two seconds are evicted, the oldest
 * first, so that slow clients cannot block others.
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

  /** Charges a body with `bytes` in total. Returns false if they do not fit. */
  resize(body: PooledBody, bytes: number): boolean {
    const { bytes: before, since } = this.#held.get(body) ?? { bytes: 0, since: performance.now() };
    const more = bytes - before;
    if (!this.#fits(more)) this.#evictFor(more, body);
    if (!this.#fits(more)) return false;
    this.#held.set(body, { bytes, since });
    this.#bytes += more;
    return true;
  }

  /** Ends the charge of a body. It has no effect on a body without one. */
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
