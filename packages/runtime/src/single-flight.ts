/**
 * Runs work once for each key, and remembers its result. A message that the broker delivers again after a lost connection
 * or a crash is so handled once.
 *
 * | the key    | `runOnce`                                                        |
 * | ---------- | ---------------------------------------------------------------- |
 * | unknown    | runs the work                                                    |
 * | in flight  | waits; returns that result, or runs the work if it was rejected  |
 * | remembered | returns the first result                                         |
 */
export class SingleFlight<Result> {
  readonly #results = new Map<string, Result>();
  readonly #inFlight = new Map<string, Promise<Result>>();
  readonly #limit: number;
  readonly #onRepeat: (() => void) | undefined;

  /** `limit`: the most results remembered. `onRepeat`: called when a remembered result is returned. */
  constructor(limit: number, onRepeat?: () => void) {
    this.#limit = limit;
    this.#onRepeat = onRepeat;
  }

  /** Remembers the result of work that ran elsewhere. */
  add(key: string, result: Result): void {
    remember(this.#results, key, result, this.#limit);
  }

  /** `isFirst`: the work is known to be new, so it runs although a result with the same key may be remembered. */
  async runOnce(key: string, work: () => Promise<Result>, isFirst = false): Promise<Result> {
    if (!isFirst) {
      while (this.#inFlight.has(key)) await this.#inFlight.get(key)?.catch(() => undefined);
      if (this.#results.has(key)) {
        this.#onRepeat?.();
        return this.#results.get(key) as Result;
      }
    }
    const running = work().finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, running);
    const result = await running;
    this.add(key, result);
    return result;
  }
}

/** Sets a value as the newest of a map. If the map then has more than `limit` values, the oldest is deleted. */
export function remember<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
}
